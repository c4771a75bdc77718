import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sessions } from '../../../../src/core/index.ts'
import { freePorts } from '../../../support/ports.ts'
import { startTcpProxy, type TcpProxy } from '../../../support/tcp-proxy.ts'
import { type Data, openMesh, write } from './mesh-sessions.ts'

const CHANGES = 1_000
const FIELD_BYTES = 200
const BYTES_MAX = 360

test('a change of a field of 200 bytes takes at most 360 bytes for each node that gets it, acknowledgement and TLS included', async (context) => {
  const [portOfA = 0, portOfB = 0] = await freePorts(2)
  await using proxy = await startTcpProxy({ to: { port: portOfB } })
  // Only one of them dials, so that all goes through the proxy.
  const nodes = [openMesh(portOfA, [`127.0.0.1:${proxy.port}`]), openMesh(portOfB, async () => [])]
  const [a] = nodes as [Sessions<Data>, Sessions<Data>]
  try {
    await Promise.all(nodes.map((node) => node.ready()))
    const idle = await bytesOf(async () => sleep(2_000), proxy)
    context.diagnostic(`heartbeats: ${Math.round(idle.perSecond)} bytes/s between two nodes`)
    const kinds = { 'whose owner is the writer': [0, 500], 'whose owner is asked': [500, 2_000] } as const
    const costs: number[] = []
    for (const [kind, [least, most]] of Object.entries(kinds)) {
      const isOfKind = ({ bytes }: Cost): boolean => bytes / 20 > least && bytes / 20 < most
      let cookie = ''
      const probe = async (): Promise<void> => void (cookie = await writeOften(a, '', 20))
      while (!isOfKind(await bytesOf(probe, proxy)));
      const { bytes, seconds } = await bytesOf(() => writeOften(a, cookie, CHANGES), proxy)
      const cost = (bytes - idle.perSecond * seconds) / CHANGES
      context.diagnostic(`${bytes / CHANGES} bytes for each of ${CHANGES} changes of a session ${kind}, ${cost.toFixed(1)} without heartbeats`) // prettier-ignore
      costs.push(cost)
    }
    const [owned = Infinity, asked = Infinity] = costs
    assert.ok(owned <= BYTES_MAX, `${owned}`)
    assert.ok(asked <= 2 * BYTES_MAX, `${asked}`) // the owner and the backup get it
  } finally {
    await Promise.all(nodes.map((node) => node.close()))
  }
})

/** Resolves the cookies that the last answer left. */
async function writeOften(node: Sessions<Data>, cookie: string, count: number): Promise<string> {
  let latest = cookie
  for (let left = count; left > 0; left--) latest = await write(node, text(), latest)
  return latest
}

function text(): string {
  return randomBytes((FIELD_BYTES * 3) / 4).toString('base64url')
}

interface Cost {
  readonly bytes: number
  readonly seconds: number
  readonly perSecond: number
}

async function bytesOf(run: () => Promise<unknown>, { bytes }: TcpProxy): Promise<Cost> {
  const before = bytes.up + bytes.down
  const startedAt = performance.now()
  await run()
  const seconds = (performance.now() - startedAt) / 1_000
  const spent = bytes.up + bytes.down - before
  return { bytes: spent, seconds, perSecond: spent / seconds }
}
