/** A real master with two replicas and three Sentinels of the test's own. */

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { removeFolder, temporaryFolder } from './folders.ts'
import { freePorts } from './ports.ts'
import { type OwnedProcess, startProcess } from './processes.ts'
import { program } from './programs.ts'
import { askRedis, type Redis, startRedis, untilAnswer } from './redis.ts'

const NAME = 'main'
const SENTINELS = 3

/** Sentinels do everything by periods of seconds; these are milliseconds. */
const PERIODS = {
  'info-period': 200,
  'ping-period': 100,
  'ask-period': 100,
  'publish-period': 200,
  'election-timeout': 1_000,
}

/** What {@link startRedisSentinel} starts. */
export interface RedisSentinelOptions {
  /** Default: 2. */
  replicas?: number

  /** A master that is silent for so long is failed over, in milliseconds. Default: 500. */
  downAfterMs?: number
}

/** Running servers and Sentinels on 127.0.0.1. Leaving an `await using` block stops them. */
export interface RedisSentinel extends AsyncDisposable {
  /** By which the Sentinels know the master. */
  readonly name: string

  /** `127.0.0.1:port` of the Sentinels. */
  readonly nodes: string[]

  /** All servers; the first was the master at first. */
  readonly servers: readonly Redis[]

  /** Resolves the server that the Sentinels take for the master now. */
  master(): Promise<Redis>

  /** Resolves when another server than this is the master and takes writes. */
  untilFailedOver(old: Redis): Promise<Redis>

  /** Resolves when all servers but the master, which all run, follow it. */
  untilFollowed(): Promise<void>

  /** What the Sentinels have logged so far. */
  readonly log: string

  stop(): Promise<void>
}

/** Starts them; resolves when the replicas follow and the Sentinels know each other. */
export async function startRedisSentinel(options: RedisSentinelOptions = {}): Promise<RedisSentinel> {
  const { replicas = 2, downAfterMs = 500 } = options
  const args = ['--repl-diskless-sync-delay', '0']
  const first = await startRedis({ args })
  const others = await Promise.all(
    Array.from({ length: replicas }, () =>
      startRedis({ args: [...args, '--replicaof', '127.0.0.1', `${first.port}`] }),
    ),
  )
  const servers = [first, ...others]
  await Promise.all(others.map(({ port }) => untilAnswer(port, ['INFO', 'replication'], /master_link_status:up/)))
  const folder = temporaryFolder()
  const ports = await freePorts(SENTINELS)
  const ids = ports.map(() => randomBytes(20).toString('hex'))
  const sentinels = await Promise.all(ports.map((_, index) => startSentinel(index)))

  async function startSentinel(index: number): Promise<OwnedProcess> {
    const lines = [
      `port ${ports[index]}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel myid ${ids[index]}`,
      `sentinel monitor ${NAME} 127.0.0.1 ${first.port} 2`,
      `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
      `sentinel failover-timeout ${NAME} 1000`,
      // They would find each other and the replicas by themselves, in seconds.
      ...others.map(({ port }) => `sentinel known-replica ${NAME} 127.0.0.1 ${port}`),
      ...ports.flatMap((port, other) =>
        other === index ? [] : [`sentinel known-sentinel ${NAME} 127.0.0.1 ${port} ${ids[other]}`],
      ),
    ]
    const file = join(folder, `sentinel-${index}.conf`)
    writeFileSync(file, lines.join('\n'))
    const sentinel = startProcess(program('redis-server'), [file, '--sentinel'])
    await sentinel.printed(/\+monitor master/)
    await askRedis(ports[index] ?? 0, 'SENTINEL', 'DEBUG', ...Object.entries(PERIODS).flat().map(String))
    return sentinel
  }

  /** What most of them say. */
  async function master(): Promise<Redis> {
    const answers = await Promise.all(
      ports.map((port) => askRedis(port, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME) as Promise<[string, string]>),
    )
    const found = servers.find(
      ({ port }) => answers.filter(([, answer]) => Number(answer) === port).length > SENTINELS / 2,
    )
    if (found) return found
    await sleep(20)
    return master()
  }

  async function untilFailedOver(old: Redis): Promise<Redis> {
    for (;;) {
      const now = await master()
      if (now !== old && /role:master/.test(String(await askRedis(now.port, 'INFO', 'replication').catch(() => ''))))
        return now
      await sleep(20)
    }
  }

  async function untilFollowed(): Promise<void> {
    const { port } = await master()
    const follows = new RegExp(`role:slave[^]*master_port:${port}\\b[^]*master_link_status:up`)
    await Promise.all(
      servers
        .filter((server) => server.port !== port)
        .map((server) => untilAnswer(server.port, ['INFO', 'replication'], follows)),
    )
    // The Sentinels promote no replica that they do not know to be well.
    for (const sentinel of ports) {
      const well = new RegExp(`^(?!.*([so]_down|disconnected))(.*"master-link-status","ok"){${replicas}}`)
      await untilAnswer(sentinel, ['SENTINEL', 'REPLICAS', NAME], well)
    }
  }

  async function stop(): Promise<void> {
    await Promise.all(sentinels.map((sentinel) => sentinel.kill()))
    await Promise.all(servers.map((server) => server.stop()))
    removeFolder(folder)
  }

  await untilFollowed()
  return {
    name: NAME,
    nodes: ports.map((port) => `127.0.0.1:${port}`),
    servers,
    master,
    untilFailedOver,
    untilFollowed,
    get log() {
      return sentinels.map(({ output }) => output).join('\n')
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
