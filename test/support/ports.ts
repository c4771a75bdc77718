/** Ports of 127.0.0.1 for programs that cannot be told to pick one and say which. */

import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Server } from 'node:net'

const triesMax = 5

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

/** Different ports that were free a moment ago. Prefer {@link startOnFreePorts}, or let the server listen on port 0. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map(portOf)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}

/** Port of a server that listens on TCP; throws where it does not. */
export function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a TCP port')
  return address.port
}
