/** A real redis-server of the test's own, which can be killed, paused and started again. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'redis'
import { removeFolder, temporaryFolder } from './folders.ts'
import { startOnFreePorts } from './ports.ts'
import { startProcess } from './processes.ts'
import type { OwnedProcess } from './processes.ts'
import { program } from './programs.ts'

export interface RedisOptions {
  /** Default: a free one. A given port that is in use rejects. */
  port?: number

  /** More of redis-server's options, such as `['--appendonly', 'yes']`. Default: nothing is persisted. */
  args?: readonly string[]
}

/** A running redis-server on 127.0.0.1. Leaving an `await using` block stops it. */
export interface Redis extends AsyncDisposable {
  /** `redis://127.0.0.1:port`. */
  readonly url: string
  readonly port: number

  /** Changes with {@link Redis.restart}. */
  readonly pid: number

  /** What the server has logged so far. */
  readonly log: string

  /** Ends the server, paused or not, and removes its folder; resolves when its pid is gone. Stopping twice succeeds. */
  stop(): Promise<void>

  /** SIGKILL: resolves when the pid is gone. The folder stays for {@link Redis.restart}. */
  kill(): Promise<void>

  /** SIGSTOP: connections stay open and nothing is answered. */
  pause(): void

  /** Ends a pause. */
  resume(): void

  /** Kills the server if it runs, and starts it again on the same port and folder; resolves when it accepts connections. */
  restart(): Promise<void>
}

/** Starts redis-server in a temporary folder; resolves when it accepts connections. */
export async function startRedis({ port: portWanted, args = [] }: RedisOptions = {}): Promise<Redis> {
  const folder = temporaryFolder()
  const { started, ports } =
    portWanted === undefined
      ? await startOnFreePorts(1, ([port = 0]) => start(port, folder, args))
      : { started: await start(portWanted, folder, args), ports: [portWanted] }
  const [port = 0] = ports
  let server = started

  async function stop(): Promise<void> {
    await server.kill()
    removeFolder(folder)
  }

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return server.pid
    },
    get log() {
      return server.output
    },
    stop,
    kill: async () => void (await server.kill()),
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    async restart() {
      await server.kill()
      server = await start(port, folder, args)
    },
    [Symbol.asyncDispose]: stop,
  }
}

/** The answer of the server on this port to one command, over a connection of its own, as RESP2 gives it. */
export async function askRedis(port: number, ...command: string[]): Promise<unknown> {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, socket: { reconnectStrategy: false }, RESP: 2 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await client.sendCommand(command)
  } finally {
    client.destroy()
  }
}

/** Resolves when the server's answer matches; while it gives none, or cuts the connection, it does not. */
export async function untilAnswer(port: number, command: readonly string[], pattern: RegExp): Promise<void> {
  while (!pattern.test(JSON.stringify(await askRedis(port, ...command).catch(() => '')))) await sleep(20)
}

async function start(port: number, folder: string, args: readonly string[]): Promise<OwnedProcess> {
  const place = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder]
  const server = startProcess(program('redis-server'), [...place, '--save', '', '--appendonly', 'no', ...args])
  await server.printed(/Ready to accept connections/)
  return server
}
