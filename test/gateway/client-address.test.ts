import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { toSender, toTrust } from '../../src/gateway/client-address.ts'
import { send, startBackend, startGateway } from './support/servers.ts'

suite('the client address', () => {
  const rows: [string, string[], string | undefined, string | undefined, string, string][] = [
    ['nobody is trusted by default', [], '192.0.2.9', '10.1.1.1', '192.0.2.9', '192.0.2.9'],
    ['a trusted proxy is believed', ['192.0.2.9'], '192.0.2.9', '10.1.1.1', '10.1.1.1', '10.1.1.1, 192.0.2.9'],
    ['a peer beside the range is not', ['192.0.2.0/29'], '192.0.2.9', '10.1.1.1', '192.0.2.9', '192.0.2.9'],
    [
      'a forged left part is cut off',
      ['192.0.2.0/24'],
      '192.0.2.9',
      '6.6.6.6, 10.1.1.1',
      '10.1.1.1',
      '10.1.1.1, 192.0.2.9',
    ],
    [
      'a chain of proxies is followed',
      ['192.0.2.0/24', '10.0.0.0/8'],
      '192.0.2.9',
      '6.6.6.6,10.1.1.1',
      '6.6.6.6',
      '6.6.6.6, 10.1.1.1, 192.0.2.9',
    ],
    [
      'only proxies: the left-most',
      ['0.0.0.0/0'],
      '192.0.2.9',
      '10.1.1.1, 10.2.2.2',
      '10.1.1.1',
      '10.1.1.1, 10.2.2.2, 192.0.2.9',
    ],
    ['garbage ends the chain', ['192.0.2.9'], '192.0.2.9', '10.1.1.1, unknown', '192.0.2.9', '192.0.2.9'],
    ['no header', ['192.0.2.9'], '192.0.2.9', undefined, '192.0.2.9', '192.0.2.9'],
    ['an empty header', ['192.0.2.9'], '192.0.2.9', ' , ', '192.0.2.9', '192.0.2.9'],
    ['a port is dropped', ['192.0.2.9'], '192.0.2.9', '10.1.1.1:5000', '10.1.1.1', '10.1.1.1, 192.0.2.9'],
    ['IPv6 with a port', ['192.0.2.9'], '192.0.2.9', '[2001:db8::1]:5000', '2001:db8::1', '2001:db8::1, 192.0.2.9'],
    ['IPv6 proxies', ['2001:db8::/32'], '2001:db8::5', 'fd00::1', 'fd00::1', 'fd00::1, 2001:db8::5'],
    ['a mapped peer is IPv4', ['192.0.2.0/24'], '::ffff:192.0.2.9', '10.1.1.1', '10.1.1.1', '10.1.1.1, 192.0.2.9'],
    [
      'a mapped claim stays IPv6, as in nginx',
      ['192.0.2.9'],
      '192.0.2.9',
      '::ffff:10.1.1.1',
      '::ffff:10.1.1.1',
      '::ffff:10.1.1.1, 192.0.2.9',
    ],
    [
      'a mapped claim of a proxy is trusted',
      ['192.0.2.0/24'],
      '192.0.2.9',
      '10.1.1.1, ::ffff:192.0.2.8',
      '10.1.1.1',
      '10.1.1.1, ::ffff:192.0.2.8, 192.0.2.9',
    ],
    ['a zone is dropped', [], 'fe80::1%eth0', undefined, 'fe80::1', 'fe80::1'],
    ['a Unix socket', [], undefined, '10.1.1.1', 'unix:', 'unix:'],
    ['a trusted Unix socket', ['unix:'], undefined, '10.1.1.1', '10.1.1.1', '10.1.1.1, unix:'],
    [
      'nobody claims to be a Unix socket',
      ['192.0.2.9', 'unix:'],
      '192.0.2.9',
      '10.1.1.1, unix:',
      '192.0.2.9',
      '192.0.2.9',
    ],
  ]
  for (const [title, trustProxy, peer, forwardedFor, clientIp, chain] of rows) {
    test(title, () => {
      const sender = toSender(peer, forwardedFor, toTrust(trustProxy))
      assert.deepEqual([sender.clientIp, sender.chain.join(', ')], [clientIp, chain])
    })
  }
})

suite('forwarding headers', () => {
  const forged = {
    host: 'shop.example',
    'x-forwarded-for': '6.6.6.6, 10.1.1.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-user': 'root',
    'x-real-ip': '6.6.6.6',
    forwarded: 'for=6.6.6.6',
  }

  async function forwarded(
    t: Parameters<typeof startGateway>[0],
    trustProxy: string[],
  ): Promise<Record<string, string>> {
    const backend = await startBackend(t, (req, res) => void res.end(JSON.stringify(req.headers)))
    const { url } = await startGateway(t, { servers: [{ name: 'a', url: backend.url }], trustProxy })
    const headers: Record<string, string> = JSON.parse((await send(url, { headers: forged })).body.toString())
    return Object.fromEntries(Object.entries(headers).filter(([name]) => /^(?:x-|forwarded)/.test(name)))
  }

  test('what a client claims about itself is replaced', async (t) => {
    assert.deepEqual(await forwarded(t, []), {
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-proto': 'http',
    })
  })

  test('what a trusted proxy says is kept, but for the part of X-Forwarded-For that it could not know', async (t) => {
    const { host: _, ...kept } = forged
    assert.deepEqual(await forwarded(t, ['127.0.0.0/8']), { ...kept, 'x-forwarded-for': '10.1.1.1, 127.0.0.1' })
  })

  test('several X-Forwarded-For lines count as one', async (t) => {
    const backend = await startBackend(t, (req, res) => void res.end(req.headers['x-forwarded-for']))
    const { url } = await startGateway(t, {
      servers: [{ name: 'a', url: backend.url }],
      trustProxy: ['127.0.0.1', '10.1.1.1'],
    })
    const headers = ['Host', 'x', 'X-Forwarded-For', '6.6.6.6', 'X-Forwarded-For', '10.1.1.1']
    const answer = await send(url, { headers })
    assert.equal(String(answer.body), '6.6.6.6, 10.1.1.1, 127.0.0.1')
  })

  test('ip-hash goes by the believed address alone', async (t) => {
    const servers = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => ({ name, url: (await startBackend(t, (_, res) => void res.end(name))).url })),
    )
    const trusting = await startGateway(t, { servers, trustProxy: ['127.0.0.1'] })
    const wary = await startGateway(t, { servers })
    assert.equal(await spread(trusting.url), 3)
    assert.equal(await spread(wary.url), 1)
  })
})

async function spread(url: string): Promise<number> {
  const names = new Set<string>()
  for (let index = 0; index < 20; index += 1) {
    const answer = await send(url, { headers: { 'x-forwarded-for': `10.0.${index}.1` } })
    names.add(String(answer.body))
  }
  return names.size
}
