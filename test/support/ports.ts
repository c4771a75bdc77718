/** Ports of 127.0.0.1 for programs that cannot be told to pick one and say which. */

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Server } from 'node:net'

const triesMax = 5

/** Linux gives connections ports from 32,768 on, other systems from 49,152. */
const PORT_MIN = 10_000
const PORT_MAX = 32_767

/** A program that runs, and the ports that it was given. */
export interface Started<T> {
  started: T
  ports: readonly number[]
}

/**
 * Starts a program on ports that were free a moment ago. Where another process took one first, so that `start` rejects with
 * "Address already in use", it is started again on others.
 */
export async function startOnFreePorts<T>(
  count: number,
  start: (ports: readonly number[]) => Promise<T>,
): Promise<Started<T>> {
  for (let tries = 1; ; tries += 1) {
    const ports = await freePorts(count)
    try {
      return { started: await start(ports), ports }
    } catch (error) {
      if (tries === triesMax || !/Address already in use/.test(String(error))) throw error
    }
  }
}

/**
 * Different ports that were free a moment ago, of those that no system gives to a connection that goes out: one under load
 * would else have some port by the time that its server starts, or starts again. Prefer {@link startOnFreePorts}, or let the
 * server listen on port 0.
 */
export async function freePorts(count: number): Promise<number[]> {
  const servers = new Map<number, Server>()
  while (servers.size < count) {
    const port = randomInt(PORT_MIN, PORT_MAX + 1)
    const server = servers.has(port) ? undefined : await listenOn(port)
    if (server) servers.set(port, server)
  }
  await Promise.all([...servers.values()].map((server) => once(server.close(), 'close')))
  return [...servers.keys()]
}

/** `undefined` where the port is in use. */
async function listenOn(port: number): Promise<Server | undefined> {
  const server = createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
    return server
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined
    throw error
  }
}

/** Port of a server that listens on TCP; throws where it does not. */
export function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a TCP port')
  return address.port
}
