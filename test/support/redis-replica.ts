/** A replica of the test's own that can be made to hear nothing of its master. */

import { askRedis, startRedis, untilAnswer, type Redis } from './redis.ts'
import { startTcpProxy } from './tcp-proxy.ts'

/** Options of redis-server with which a replica is given what it lacks at once. */
export const QUICK = ['--repl-diskless-sync-delay', '0']

export interface Replica extends AsyncDisposable {
  readonly port: number
  /** It has all that was changed so far, and hears of nothing from now on. */
  hearNoMore(): Promise<void>
  /** It hears of all that it has missed. */
  hearAgain(): void
}

/** Starts a replica of a master that was started with {@link QUICK}. */
export async function startReplica(master: Redis): Promise<Replica> {
  const link = await startTcpProxy({ to: { port: master.port } })
  const replica = await startRedis({ args: [...QUICK, '--replicaof', '127.0.0.1', `${link.port}`] })
  const { port } = replica
  await untilAnswer(port, ['INFO', 'replication'], /master_link_status:up/)
  return {
    port,
    async hearNoMore() {
      const offset = /master_repl_offset:(\d+)/.exec(String(await askRedis(master.port, 'INFO', 'replication')))?.[1]
      await untilAnswer(port, ['INFO', 'replication'], new RegExp(`slave_repl_offset:${offset}\\b`))
      link.blackHole('down')
    },
    hearAgain: () => link.blackHole('none'),
    async [Symbol.asyncDispose]() {
      await link.close()
      await replica.stop()
    },
  }
}
