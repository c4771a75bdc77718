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
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'

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

  /**
   * Half the round trip between a master and its replicas, in milliseconds: they and the Sentinels reach each server through
   * a proxy, and clients by {@link RedisSentinel.addresses}. Default: 0, without proxies.
   */
  latencyMs?: number
}

/** Running servers and Sentinels on 127.0.0.1. Leaving an `await using` block stops them. */
export interface RedisSentinel extends AsyncDisposable {
  /** By which the Sentinels know the master. */
  readonly name: string

  /** `127.0.0.1:port` of the Sentinels. */
  readonly nodes: string[]

  /** All servers; the first was the master at first. */
  readonly servers: readonly Redis[]

  /** Where a client is to find each server that the Sentinels name, by `host:port`, in the form of both libraries. */
  readonly addresses: Readonly<Record<string, { host: string; port: number }>>

  /** SIGKILL of a server, and what it had sent to others and they had not received is lost, as with its machine. */
  lose(server: Redis): Promise<void>

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
  const { replicas = 2, downAfterMs = 500, latencyMs = 0 } = options
  const first = await startServer(latencyMs)
  const others = await Promise.all(
    Array.from({ length: replicas }, () => startServer(latencyMs, ['--replicaof', '127.0.0.1', `${first.known}`])),
  )
  const members = [first, ...others]
  const servers = members.map(({ redis }) => redis)
  await Promise.all(
    others.map(({ redis }) => untilAnswer(redis.port, ['INFO', 'replication'], /master_link_status:up/)),
  )
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
      `sentinel monitor ${NAME} 127.0.0.1 ${first.known} 2`,
      `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
      `sentinel failover-timeout ${NAME} 1000`,
      // They would find each other and the replicas by themselves, in seconds.
      ...others.map(({ known }) => `sentinel known-replica ${NAME} 127.0.0.1 ${known}`),
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
    const found = members.find(
      ({ known }) => answers.filter(([, answer]) => Number(answer) === known).length > SENTINELS / 2,
    )?.redis
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
    const now = await master()
    const known = members.find(({ redis }) => redis === now)?.known
    const follows = new RegExp(`role:slave[^]*master_port:${known}\\b[^]*master_link_status:up`)
    await Promise.all(
      servers
        .filter((server) => server !== now)
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
    await Promise.all(members.map(({ redis, proxy }) => Promise.all([redis.stop(), proxy?.close()])))
    removeFolder(folder)
  }

  await untilFollowed()
  return {
    name: NAME,
    nodes: ports.map((port) => `127.0.0.1:${port}`),
    servers,
    addresses: Object.fromEntries(
      members.map(({ known, redis: { port } }) => [`127.0.0.1:${known}`, { host: '127.0.0.1', port }]),
    ),
    async lose(server) {
      members.find(({ redis }) => redis === server)?.proxy?.cut()
      await server.kill()
    },
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

interface Member {
  readonly redis: Redis
  /** The port by which Sentinels and the other servers know it. */
  readonly known: number
  readonly proxy?: TcpProxy
}

async function startServer(latencyMs: number, more: readonly string[] = []): Promise<Member> {
  const args = ['--repl-diskless-sync-delay', '0', ...more]
  if (latencyMs === 0) {
    const redis = await startRedis({ args })
    return { redis, known: redis.port }
  }
  const to = { port: 0 }
  const proxy = await startTcpProxy({ to })
  const announced = ['--replica-announce-ip', '127.0.0.1', '--replica-announce-port', `${proxy.port}`]
  const redis = await startRedis({ args: [...args, ...announced] })
  to.port = redis.port
  proxy.latency(latencyMs)
  return { redis, known: proxy.port, proxy }
}
