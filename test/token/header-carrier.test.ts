import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type HeaderCarrierOption, toHeaderCarrier } from '../../src/token/index.ts'

const headers = (given: Readonly<Record<string, string>>) => (name: string) => given[name]

suite('header carrier', () => {
  test('bearer reads and writes Authorization, as the scheme is written or not', () => {
    const carrier = toHeaderCarrier('bearer')
    assert.deepEqual(carrier.toToken('t'), ['authorization', 'Bearer t'])
    assert.deepEqual(carrier.toToken(''), ['authorization', ''])
    for (const authorization of ['Bearer t', 'bearer t', 'BEARER   t']) {
      assert.deepEqual(carrier.read(headers({ authorization, 'x-session-v': '0.1' })), { token: 't', hint: '0.1' })
    }
    for (const authorization of ['', 't', 'Bearer', 'Bearer ', 'Basic dXNlcjpwdw==', 'Bearer a.b.c', 'Bearer a b']) {
      assert.equal(carrier.read(headers({ authorization })).token, undefined, authorization)
    }
    assert.equal(carrier.read(headers({})).token, undefined)
  })

  test('a header of your own is read and written under its name, and the hint beside it', () => {
    const carrier = toHeaderCarrier({ header: 'X-Shop' })
    assert.deepEqual(carrier.read(headers({ 'x-shop': 't', 'x-shop-v': '0.1' })), { token: 't', hint: '0.1' })
    assert.equal(carrier.read(headers({ 'x-shop': '' })).token, undefined)
    assert.deepEqual(
      [carrier.toToken('t'), carrier.toHint('0.2')],
      [
        ['x-shop', 't'],
        ['x-shop-v', '0.2'],
      ],
    )
  })

  test('what is none, or means something else, is a TypeError at start', () => {
    const wrong: [unknown, RegExp][] = [
      ['header', /'bearer' or the name/],
      [{}, /'bearer' or the name/],
      [null, /'bearer' or the name/],
      [{ header: 5 }, /'bearer' or the name/],
      [{ header: '' }, /not a header's name/],
      [{ header: 'x session' }, /not a header's name/],
      [{ header: 'x\r\ny' }, /not a header's name/],
      [{ header: 'Authorization' }, /give 'bearer'/],
      [{ header: 'cookie' }, /something else/],
      [{ header: 'Set-Cookie' }, /something else/],
    ]
    for (const [option, message] of wrong) {
      assert.throws(() => toHeaderCarrier(option as HeaderCarrierOption), { name: 'TypeError', message })
    }
  })
})
