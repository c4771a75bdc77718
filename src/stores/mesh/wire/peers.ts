import { lookup } from 'node:dns/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '../../../core/index.ts'
import { formatAddress, parseAddress } from './address.ts'
import { ADDRESSES_MAX, PEERS_ASKED_MAX, PEERS_DEADLINE_MS, PEERS_EVERY_MS, PEERS_PAUSE_MS } from './limits.ts'
import { RefusalLog } from './refusal-log.ts'

/**
 * Where the other nodes are, as `host:port`. The own address may be among them.
 *
 * - a list, which does not change;
 * - a name whose addresses are all of the nodes', as a headless service of Kubernetes with `publishNotReadyAddresses: true`
 *   has, asked for again and again;
 * - a function, called again and again.
 */
export type PeersOption =
  | readonly string[]
  | { readonly dns: string; readonly port: number }
  | (() => readonly string[] | Promise<readonly string[]>)

export interface PeersWatchOptions {
  readonly peers: PeersOption
  readonly logger: Logger
  /** Called with the first list, and with each that differs from the one before. */
  readonly onPeers: (addresses: readonly string[]) => void
  /** The IP addresses of a name. Default: the system's resolver, which knows hosts files and search domains. */
  readonly resolve?: (name: string) => Promise<readonly string[]>
  /** Default: 5 s. */
  readonly everyMs?: number
  /** Default: 10 s. */
  readonly deadlineMs?: number
}

export interface PeersWatch {
  /**
   * Asks until there is an answer, for the deadline at most. A node that starts waits for it: without peers it would begin
   * a fleet of its own. Never rejects.
   */
  readonly first: () => Promise<void>
  /** Asks now. Never rejects: a failure is logged, and the last list stays. */
  readonly refresh: () => Promise<void>
  readonly close: () => void
}

/** @throws TypeError for an address that is not host:port */
export function watchPeers(options: PeersWatchOptions): PeersWatch {
  const { peers, logger, onPeers, everyMs = PEERS_EVERY_MS, deadlineMs = PEERS_DEADLINE_MS } = options
  const ask = toFunction(peers, (name) => (options.resolve ?? resolveByLookup)(name))
  const log = new RefusalLog(logger)
  let last: string | undefined
  let asking: Promise<void> | undefined
  let unanswered = 0
  let isClosed = false
  const closed = Promise.withResolvers<void>()

  async function askBounded(): Promise<unknown> {
    if (unanswered >= PEERS_ASKED_MAX) throw new Error(`${unanswered} questions for the peers were never answered`)
    unanswered += 1
    return ask().finally(() => (unanswered -= 1))
  }

  async function askOnce(): Promise<void> {
    try {
      const addresses = fit(await withDeadline(askBounded(), deadlineMs), log)
      const text = addresses.join()
      if (isClosed || text === last) return
      last = text
      onPeers(addresses)
    } catch (error) {
      log.add('warn', 'peers', { err: error }, 'the mesh could not find out its peers, and goes on with those it knows')
    }
  }

  const refresh = (): Promise<void> => {
    asking ??= askOnce().finally(() => (asking = undefined))
    return asking
  }
  const timer = Array.isArray(peers) ? undefined : setInterval(() => void refresh(), everyMs).unref()
  return {
    async first() {
      const untilMs = performance.now() + deadlineMs
      const alive = setInterval(() => {}, deadlineMs) // a program that starts may have nothing else that keeps it
      for (;;) {
        await Promise.race([refresh(), closed.promise])
        if (last !== undefined || isClosed || performance.now() + PEERS_PAUSE_MS > untilMs) break
        await Promise.race([sleep(PEERS_PAUSE_MS), closed.promise])
      }
      clearInterval(alive)
    },
    refresh,
    close() {
      isClosed = true
      closed.resolve()
      clearInterval(timer)
    },
  }
}

function toFunction(
  peers: PeersOption,
  resolve: (name: string) => Promise<readonly string[]>,
): () => Promise<readonly string[]> {
  if (typeof peers === 'function') return async () => peers()
  if ('dns' in peers) {
    const { dns, port } = peers
    if (!parseAddress(`${dns}:${port}`)) throw new TypeError(`peers: ${dns}:${port} is not a name and a port`)
    return async () => (await resolve(dns)).map((host) => formatAddress({ host, port }))
  }
  const wrong = peers.find((address) => !parseAddress(address))
  if (wrong !== undefined) throw new TypeError(`peers: ${wrong} is not host:port`)
  return async () => peers
}

/** What a function or a resolver answers is taken as far as it is fit. */
function fit(answer: unknown, log: RefusalLog): string[] {
  if (!Array.isArray(answer)) throw new TypeError('peers: the function did not answer a list of host:port')
  const unfit: unknown = answer.find((address) => !isFit(address))
  if (unfit !== undefined) log.add('warn', 'unfit', { address: unfit }, 'a peer of the mesh is not host:port')
  return [...new Set(answer.filter(isFit))].toSorted().slice(0, ADDRESSES_MAX)
}

function isFit(address: unknown): address is string {
  return typeof address === 'string' && parseAddress(address) !== undefined
}

async function resolveByLookup(name: string): Promise<readonly string[]> {
  const addresses = await lookup(name, { all: true })
  return addresses.map(({ address }) => address)
}

function withDeadline<T>(promise: Promise<T>, deadlineMs: number): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs).unref()
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
