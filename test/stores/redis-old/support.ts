import { once } from 'node:events'
import { createGateway, type Gateway } from '../../../src/gateway/index.ts'
import { createVisitor, type Visitor } from '../../support/jar.ts'
import { type NodeProcess, startNode } from '../../support/processes.ts'
import { createSecret } from '../../token/secrets.ts'

/** Of the old servers. */
export const OLD_SECRET = 'keyboard cat keyboard cat keyboard cat'

/** Addresses of one new server, by how it moves. */
export interface Ways {
  readonly both: string
  readonly new: string
  readonly fastify: string
}

/** In a server: a parameter of the query. */
export function asked({ url = '' }: { readonly url?: string | undefined }, name: string): string {
  return new URL(url, 'http://localhost').searchParams.get(name) ?? ''
}

/** In a server: tells the test that a request waits in the middle, and goes on when the test says so. */
export async function held(): Promise<void> {
  process.send?.({ held: true })
  await once(process, 'message')
}

export interface Answer {
  readonly kind: 'old' | 'new'
  readonly user?: string | null
  readonly key?: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Two old servers and two new ones on one Redis. */
export interface MixedFleet extends AsyncDisposable {
  readonly old: readonly { url: string; process: NodeProcess }[]
  readonly fastify: { url: string; process: NodeProcess }
  readonly new: readonly { urls: Ways; process: NodeProcess }[]
}

export async function startMixedFleet(redisUrl: string): Promise<MixedFleet> {
  const secret = createSecret()
  const startOld = async (library: string): Promise<{ url: string; process: NodeProcess }> => {
    const process = startNode(new URL('./old-worker.ts', import.meta.url), { args: [redisUrl, library] })
    return { ...((await process.receive()) as { url: string }), process }
  }
  const startNew = async (): Promise<{ urls: Ways; process: NodeProcess }> => {
    const process = startNode(new URL('./new-worker.ts', import.meta.url), { args: [redisUrl, secret] })
    return { urls: (await process.receive()) as Ways, process }
  }
  const [first, second, fastify, ...fresh] = await Promise.all([
    startOld('express'), startOld('express'), startOld('fastify'), startNew(), startNew(),
  ]) // prettier-ignore
  const processes = [first, second, fastify, ...fresh].map(({ process }) => process)
  return {
    old: [first, second],
    fastify,
    new: fresh,
    [Symbol.asyncDispose]: async () => void (await Promise.all(processes.map((process) => process.kill()))),
  }
}

/** A balancer that gives each request to the next server, old or new. */
export async function balance(urls: readonly string[]): Promise<{ gateway: Gateway; url: string }> {
  const gateway = createGateway({
    servers: urls.map((url, index) => ({ name: `${index}`, url })),
    affinity: 'round-robin',
  })
  return { gateway, url: await gateway.listen() }
}

/** A visitor with one browser, over plain http as far as the old servers know. */
export function visitor(): Visitor {
  return createVisitor()
}

export async function get(who: Visitor, url: string, path = '/'): Promise<Answer> {
  const response = await who.fetch(`${url}${path}`)
  if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as Answer
}

export async function post(who: Visitor, url: string, path: string): Promise<Answer> {
  const response = await who.fetch(`${url}${path}`, { method: 'POST' })
  if (response.status !== 200) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as Answer
}
