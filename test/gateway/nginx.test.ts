import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { suite, test, type TestContext } from 'node:test'
import type { AffinityServer } from '../../src/affinity/index.ts'
import type { GatewayServer } from '../../src/gateway/index.ts'
import { nginxMissing, startNginx } from './support/nginx.ts'
import { refusingUrl, send, startBackend, startGateway } from './support/servers.ts'

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

suite('the gateway picks the servers that nginx picks', { skip: nginxMissing }, () => {
  for (const affinity of ['ip-hash', 'round-robin'] as const) {
    test(`${affinity}, weights and a server that is down`, (t) => assertSame(t, affinity, weighted))
    test(`${affinity}, two servers that refuse connections`, (t) => assertSame(t, affinity, partlyDead))
  }
})

async function assertSame(t: TestContext, affinity: 'ip-hash' | 'round-robin', specs: Spec[]): Promise<void> {
  const servers = await Promise.all(specs.map((spec) => toServer(t, spec)))
  const lines = servers.map(({ url, weight = 1, down }) => {
    const limits = `weight=${weight} max_fails=1 fail_timeout=${FAIL_TIMEOUT_S}s${down ? ' down' : ''}`
    return `server ${new URL(url).host} ${limits};`
  })
  if (affinity === 'ip-hash') lines.unshift('ip_hash;')
  const nginxUrl = await startNginx(t, lines)
  const { url } = await startGateway(t, { servers, affinity, trustProxy: ['127.0.0.1'] })
  const clients = Array.from({ length: CLIENT_COUNT }, (_, index) => (index % 3 === 2 ? randomIpv6() : randomIpv4()))
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
  const url = isUnreachable ? await refusingUrl() : (await startBackend(t, listener)).url
  return { ...server, url, failTimeout: FAIL_TIMEOUT_S * 1000 }
}

function randomIpv4(): string {
  return [randomInt(1, 224), randomInt(256), randomInt(256), randomInt(1, 255)].join('.')
}

function randomIpv6(): string {
  return Array.from({ length: 8 }, (_, index) => (index === 0 ? 0x2001 : randomInt(0x10000)).toString(16)).join(':')
}
