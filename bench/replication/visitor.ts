import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, request } from 'undici'
import type { FleetNode } from './fleet.ts'

/** Connections stay open, so that no row measures how they are made. */
const agent = new Agent({ connections: 32, pipelining: 1, keepAliveTimeout: 60_000 })

/** A browser: keeps the cookies that it is given, and sends them to whichever node it asks. */
export class Visitor {
  readonly #cookies = new Map<string, string>()
  /** What the node answered to `/login`: ours tells the key, by which placement is known. */
  session = ''
  /** Where it logged in: the node of a balancer that keeps a visitor where it is. */
  home: FleetNode | undefined

  /** @throws for an answer that is not 200 */
  async ask(node: FleetNode, path: string): Promise<string> {
    const { statusCode, headers, body } = await request(node.url + path, {
      dispatcher: agent,
      headers: { cookie: this.cookies },
    })
    const text = await body.text()
    if (statusCode !== 200) throw new Error(`${node.url}${path} answered ${statusCode}: ${text}`)
    for (const line of [headers['set-cookie'] ?? []].flat()) {
      const [pair = ''] = line.split(';', 1)
      this.#cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
    }
    return text
  }

  get cookies(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** Another browser with the same token and without the hint of what this one has seen. */
  withoutHint(): Visitor {
    const other = new Visitor()
    other.session = this.session
    other.home = this.home
    for (const [name, value] of this.#cookies) if (!name.endsWith('-v')) other.#cookies.set(name, value)
    return other
  }
}

/** Visitors who each have a session of 20 fields of 200 bytes. */
export async function logIn(nodes: readonly FleetNode[], count: number, atOnce = 16): Promise<Visitor[]> {
  return inParallel(count, atOnce, async (index) => {
    const visitor = new Visitor()
    visitor.home = nodes[index % nodes.length] ?? fail('no nodes')
    visitor.session = await patiently(visitor, visitor.home, '/login')
    return visitor
  })
}

/** Asks again where a fleet that has just started, or just lost a node, says 503 because it is finding out who is there. */
export async function patiently(visitor: Visitor, node: FleetNode, path: string): Promise<string> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await visitor.ask(node, path)
    } catch (error) {
      if (tries === 20 || !/ 503/.test(String(error))) throw error
      await sleep(250)
    }
  }
}

/** Does something so many times, so many at once. */
export async function inParallel<T>(count: number, atOnce: number, task: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) results[index] = await task(index)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}

export function fail(reason: string): never {
  throw new Error(reason)
}

/** Ends the connections, so that the process may end. */
export const closeConnections = (): Promise<void> => agent.close()
