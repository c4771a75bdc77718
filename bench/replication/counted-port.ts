import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { startTcpProxy, type TcpProxy } from '../../test/support/tcp-proxy.ts'
import { fail } from './visitor.ts'

const START_MS_MAX = 60_000

/** The port by which the other nodes reach a node, with what went over it. */
export interface CountedPort extends AsyncDisposable {
  readonly port: number
  /** Payload bytes so far, both ways. */
  readonly bytes: number
  /** Takes connections from when the node listens until it has ended, as the node's own port would. */
  follow(exited: Promise<unknown>): Promise<void>
}

/** A proxy in front of a node's replication port; or, where nothing is to be counted, that port itself. */
export async function countedPort(listenPort: number, isProxied: boolean): Promise<CountedPort> {
  if (!isProxied) return { port: listenPort, bytes: 0, follow: async () => {}, [Symbol.asyncDispose]: async () => {} }
  const proxy = await startTcpProxy({ to: { port: listenPort } })
  await proxy.refuse(true) // a proxy that took connections for a node that is not there would look like that node
  return {
    port: proxy.port,
    get bytes() {
      return proxy.bytes.up + proxy.bytes.down
    },
    async follow(exited) {
      let isGone = false
      void exited.then(() => {
        isGone = true
        return proxy.refuse(true)
      })
      const startedAt = performance.now()
      while (!(await isListening(listenPort))) {
        if (isGone) return
        if (performance.now() - startedAt > START_MS_MAX) fail(`nothing listens on ${listenPort}`)
        await sleep(2)
      }
      await open(proxy)
    },
    [Symbol.asyncDispose]: () => proxy.close(),
  }
}

/** While the port was closed, a connection of some other process may have been given its number: it is waited for. */
async function open(proxy: TcpProxy): Promise<void> {
  for (const startedAt = performance.now(); ; await sleep(50)) {
    try {
      return await proxy.refuse(false)
    } catch (error) {
      if (performance.now() - startedAt > START_MS_MAX) throw error
    }
  }
}

/** Asks the kernel, since a connection of our own would be taken for a peer's. */
async function isListening(port: number): Promise<boolean> {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')))
  return tables.some((table) =>
    table.split('\n').some((line) => {
      const [, local = '', , state] = line.trim().split(/\s+/)
      return state === '0A' && local.endsWith(end)
    }),
  )
}
