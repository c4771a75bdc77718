import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { suite, test, type TestContext } from 'node:test'
import * as fc from 'fast-check'
import type { AffinityServer } from '../../src/affinity/index.ts'
import type { GatewayServer } from '../../src/gateway/index.ts'
import { nginxMissing, startNginx } from './support/nginx.ts'
import { REFUSING_URL, send, startBackend, startGateway } from './support/servers.ts'

const CLIENT_COUNT = 300
/** No server that failed may come back while the test runs: nginx and the gateway do not fail in the same second. */
const FAIL_TIMEOUT_S = 600

interface Spec extends AffinityServer {
  readonly isUnreachable?: boolean
}

const weighted: Spec[] = [{ name: 'a', weight: 3 }, { name: 'b' }, { name: 'c', down: true }, { name: 'd', weight: 2 }]
const partlyDead: Spec[] = [
  { name: 'a', weight: 2, isUnreachable: true },
  { name: 'b' },
  { name: 'c', weight: 4, isUnreachable: true },
  { name: 'd', weight: 3 },
  { name: 'e', down: true },
]

/** Only the first and the fourth of eight live. */
const mostlyDown: Spec[] = Array.from({ length: 8 }, (_, index) => ({
  name: `s${index}`,
  down: index !== 0 && index !== 3,
}))
/** Their 21st pick in `mostlyDown` is the first that lives, the last one that counts; for the others it is the 22nd. */
const LAST_PICK_CLIENTS = ['4.15.0.1', '4.70.56.1', '4.125.112.1', '4.35.126.1', '4.45.49.1', '4.90.182.1']
const TOO_LATE_CLIENTS = [
  '6.30.182.1',
  '5.50.182.1',
  '6.85.238.1',
  '5.105.238.1',
  '10.190.7.1',
  '9.5.175.1',
  '9.60.231.1',
]

suite('the gateway picks the servers that nginx picks', { skip: nginxMissing }, () => {
  for (const affinity of ['ip-hash', 'round-robin'] as const) {
    test(`${affinity}, weights and a server that is down`, (t) => assertSame(t, affinity, weighted))
    test(`${affinity}, two servers that refuse connections`, (t) => assertSame(t, affinity, partlyDead))
  }

  test('ip-hash, clients that just find a server by hash and clients that just do not', (t) =>
    assertSame(t, 'ip-hash', mostlyDown, [...LAST_PICK_CLIENTS, ...TOO_LATE_CLIENTS]))
})

async function assertSame(
  t: TestContext,
  affinity: 'ip-hash' | 'round-robin',
  specs: Spec[],
  clients = randomClients(t),
): Promise<void> {
  const servers = await Promise.all(specs.map((spec) => toServer(t, spec)))
  const lines = servers.map(({ url, weight = 1, down }) => {
    const limits = `weight=${weight} max_fails=1 fail_timeout=${FAIL_TIMEOUT_S}s${down ? ' down' : ''}`
    return `server ${new URL(url).host} ${limits};`
  })
  if (affinity === 'ip-hash') lines.unshift('ip_hash;')
  const nginxUrl = await startNginx(t, lines)
  const { url } = await startGateway(t, { servers, affinity, trustProxy: ['127.0.0.1'] })
  const pairs: [string, string][] = []
  for (const client of clients) {
    const headers = { 'x-forwarded-for': client }
    pairs.push([String((await send(nginxUrl, { headers })).body), String((await send(url, { headers })).body)])
  }
  for (const [index, [ofNginx, ofGateway]] of pairs.entries()) {
    assert.equal(ofGateway, ofNginx, `client ${index}: ${clients[index]}`)
  }
  const reachable = specs.filter(({ down, isUnreachable }) => !down && !isUnreachable).map(({ name }) => name)
  assert.deepEqual(new Set(pairs.map(([name]) => name)), new Set(reachable))
}

async function toServer(t: TestContext, { isUnreachable, ...server }: Spec): Promise<GatewayServer> {
  const listener = (_: unknown, res: { end(text: string): unknown }): void => void res.end(server.name)
  const url = isUnreachable ? REFUSING_URL : (await startBackend(t, listener)).url
  return { ...server, url, failTimeout: FAIL_TIMEOUT_S * 1000 }
}

function randomClients(t: TestContext): string[] {
  const seed = randomInt(2 ** 31)
  t.diagnostic(`seed of the clients: ${seed}`)
  const byte = fc.nat(254)
  const ipv4 = fc.tuple(fc.integer({ min: 1, max: 223 }), byte, byte, byte).map((bytes) => bytes.join('.'))
  const groups = fc.array(fc.nat(0xffff), { minLength: 7, maxLength: 7 })
  const ipv6 = groups.map((values) => ['2001', ...values.map((value) => value.toString(16))].join(':'))
  return fc.sample(fc.oneof(ipv4, ipv6), { seed, numRuns: CLIENT_COUNT })
}
