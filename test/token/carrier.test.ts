import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type CookieOptions, readCookies, toClearCookie, toCookiePolicy, toSetCookie } from '../../src/token/index.ts'

suite('cookie policy', () => {
  test('the defaults bind the cookie to this host, over TLS, out of reach of scripts', () => {
    const policy = toCookiePolicy()
    assert.equal(toSetCookie(policy, policy.name, 'x'), '__Host-sid=x; Path=/; HttpOnly; Secure; SameSite=Lax')
    assert.equal(policy.hintName, '__Host-sid-v')
  })

  test('the name is sid where the prefix does not fit', () => {
    const options: CookieOptions[] = [{ secure: false }, { domain: 'example.org' }, { path: '/app' }]
    for (const option of options) assert.equal(toCookiePolicy(option).name, 'sid')
    const policy = toCookiePolicy({ domain: 'example.org', path: '/app', sameSite: 'strict', partitioned: true })
    assert.equal(
      toSetCookie(policy, policy.name, 'x'),
      'sid=x; Domain=example.org; Path=/app; HttpOnly; Secure; Partitioned; SameSite=Strict',
    )
    assert.doesNotMatch(toSetCookie(toCookiePolicy({ secure: false }), 'sid', 'x'), /Secure/)
  })

  test('what browsers drop is an error at start', () => {
    const wrong: [CookieOptions, RegExp][] = [
      [{ name: '__Host-a', secure: false }, /__Host-a/],
      [{ name: '__Host-a', domain: 'example.org' }, /__Host-a/],
      [{ name: '__Host-a', path: '/app' }, /__Host-a/],
      [{ name: '__host-a', path: '/app' }, /__host-a/],
      [{ name: '__Secure-a', secure: false }, /__Secure-a/],
      [{ name: '__secure-a', secure: false }, /__secure-a/],
      [{ sameSite: 'none', secure: false }, /sameSite/],
      [{ partitioned: true, secure: false }, /partitioned/],
      [{ sameSite: 'Lax' as 'lax' }, /sameSite/],
      [{ name: '' }, /cookie\.name/],
      [{ name: 'a b' }, /cookie\.name/],
      [{ name: 'a;b' }, /cookie\.name/],
      [{ name: 'a=b' }, /cookie\.name/],
      [{ name: 'é' }, /cookie\.name/],
      [{ domain: 'exa mple' }, /domain/],
      [{ domain: '' }, /domain/],
      [{ path: '/a;b' }, /path/],
      [{ path: '/a\r\nSet-Cookie: b=c' }, /path/],
      [{ path: 'app' }, /path/],
      [{ path: '' }, /path/],
    ]
    for (const [options, message] of wrong) {
      assert.throws(() => toCookiePolicy(options), { name: 'TypeError', message }, JSON.stringify(options))
    }
  })

  test('an option that is misspelt, or of another library, is a TypeError and never passed over', () => {
    const wrong: [object | string | null, RegExp][] = [
      [{ samesite: 'strict' }, /no option "samesite".*sameSite/],
      [{ httpOnly: false }, /always HttpOnly/],
      [{ maxAge: 1000 }, /idleTimeout/],
      [{ secure: 'auto' }, /secure is true or false/],
      [{ secure: 'false' }, /secure is true or false/],
      [{ partitioned: 1 }, /partitioned is true or false/],
      [{ sameSite: true }, /sameSite is 'lax'/],
      [{ name: 5 }, /name is text/],
      [{ domain: null }, /domain is text/],
      [{ path: ['/'] }, /path is text/],
      [{ toString: 'x' }, /no option "toString"/],
      ['sid', /object of options/],
      [null, /object of options/],
    ]
    for (const [options, message] of wrong) {
      assert.throws(
        () => toCookiePolicy(options as CookieOptions),
        { name: 'TypeError', message },
        JSON.stringify(options),
      )
    }
    toCookiePolicy({ name: undefined, secure: undefined, domain: undefined })
  })

  test('a prefix that fits is accepted', () => {
    assert.equal(toCookiePolicy({ name: '__Host-a', path: '/' }).name, '__Host-a')
    assert.equal(toCookiePolicy({ name: '__Secure-a', domain: 'example.org' }).name, '__Secure-a')
  })

  test('clearing names the same cookie: same name, domain and path, a time that is past', () => {
    const policy = toCookiePolicy({ domain: 'example.org', path: '/app' })
    const cleared = toClearCookie(policy, policy.name)
    assert.match(cleared, /^sid=; Max-Age=0; Domain=example\.org; Path=\/app; Expires=Thu, 01 Jan 1970/)
    assert.match(cleared, /; HttpOnly; Secure; SameSite=Lax$/)
  })
})

suite('reading a Cookie header', () => {
  const policy = toCookiePolicy()

  test('finds token and hint among others; the first of a name counts', () => {
    const header = 'a=1; __Host-sid=t; __Host-sid-v=0.1; __Host-sid=late; b="2"'
    assert.deepEqual(readCookies(policy, header), { token: 't', hint: '0.1' })
  })

  test('finds nothing where there is nothing', () => {
    for (const header of ['', ';', '=', 'a=1', '__Host-sid', '__Host-sid-v=0.1', 'x__Host-sid=1; y=__Host-sid']) {
      assert.equal(readCookies(policy, header).token, undefined, header)
    }
  })

  test('names of Object.prototype are names like others', () => {
    const strange = toCookiePolicy({ name: '__proto__' })
    assert.deepEqual(readCookies(strange, '__proto__=t'), { token: 't', hint: undefined })
    assert.equal(readCookies(toCookiePolicy({ name: 'toString' }), 'a=toString').token, undefined)
  })
})
