import { type Logger, StoreTimeoutError, StoreUnavailableError } from '../../core/index.ts'
import { Incarnations } from './incarnations.ts'
import { CLAIMS_MAX, REPLICA_PATIENCE, REPLICA_WARNING_PAUSE_MS } from './limits.ts'
import type { Link } from './link.ts'
import type { Replicas } from './replicas.ts'
import { endScript, type Script } from './scripts.ts'

/** What {@link Commands} needs. */
export interface CommandsOptions {
  readonly keyPrefix: string
  readonly deadlineMs: number
  readonly logger: Logger
  /** How many replicas every change waits for; 0: those that matter most wait for one, where there is one. */
  readonly waitReplicas: number
  send(...command: Parameters<Link['send']>): Promise<unknown>
  replicas(): Replicas
}

/** Runs the scripts of the store: in the incarnation of their server, and until replicas have what is to wait for them. */
export class Commands {
  readonly #options: CommandsOptions
  readonly #incarnations: Incarnations
  readonly #counts = { confirmed: 0, unconfirmed: 0 }
  #warnedAt = -Infinity

  constructor(options: CommandsOptions) {
    this.#options = options
    this.#incarnations = new Incarnations(options.keyPrefix, (script, key, args) => this.#send(script, key, args))
  }

  /** Changes that were answered with replicas that have them, and without. */
  get replication(): { readonly confirmed: number; readonly unconfirmed: number } {
    return { ...this.#counts }
  }

  /** Runs a script about a session, which waits for nobody. */
  run(script: Script, key: string, args: readonly string[]): Promise<unknown> {
    return this.#send(script, this.#options.keyPrefix + key, args)
  }

  /**
   * Runs the apply script.
   *
   * @param matters whether it is a change that is worth a wait: of tokens or the user
   */
  async apply(key: string, [header = '', ...args]: readonly string[], matters: boolean): Promise<string> {
    const startedAt = performance.now()
    const waits = matters || this.#options.waitReplicas > 0
    const name = this.#options.keyPrefix + key
    for (let claims = 0; ; claims += 1) {
      const reply = String(await this.#send(this.#incarnations.script, name, [waits ? `${header}w` : header, ...args]))
      if (!reply.startsWith('i')) return waits ? this.replicated(key, reply, startedAt) : reply
      if (claims === CLAIMS_MAX)
        throw new StoreUnavailableError('Redis servers take turns faster than a change is made')
      await this.#incarnations.claim(reply)
    }
  }

  /** Runs the end script, which always matters. */
  async end(key: string, args: readonly string[]): Promise<string> {
    const startedAt = performance.now()
    return this.replicated(key, String(await this.run(endScript, key, args)), startedAt)
  }

  #send(script: Script, name: string, args: readonly string[]): Promise<unknown> {
    return this.#options.send(name, ['EVALSHA', script.sha, '1', name, ...args], script)
  }

  /**
   * Waits for replicas, where an answer has a tail that tells how many there are, and the server's replication id.
   *
   * @param key what was changed, without the prefix
   * @returns the answer without the tail
   */
  async replicated(key: string, reply: string, startedAt: number): Promise<string> {
    const tail = /^(.*)\n(\d+) (\w+)$/s.exec(reply)
    if (!tail) return reply
    const [, answer = '', connected, server = ''] = tail
    const { waitReplicas, deadlineMs } = this.#options
    // A server without replicas is waited for by nobody but who asked for it.
    if (waitReplicas === 0 && connected === '0') return answer
    // A little before the deadline of the caller, who would otherwise hear only that it took too long.
    const longestMs = deadlineMs * (waitReplicas > 0 ? 0.9 : REPLICA_PATIENCE)
    const timeoutMs = longestMs - (performance.now() - startedAt)
    const canBe = Number(connected) >= Math.max(waitReplicas, 1) && timeoutMs > 0
    const isConfirmed = canBe && (await this.#options.replicas().confirm({ key, server }, timeoutMs))
    this.#counts[isConfirmed ? 'confirmed' : 'unconfirmed'] += 1
    if (!isConfirmed) this.#tellUnconfirmed(Number(connected))
    return answer
  }

  #tellUnconfirmed(connected: number): void {
    const { waitReplicas, logger } = this.#options
    if (waitReplicas > 0) {
      const what = `Redis has made the change, but fewer than ${waitReplicas} replicas have it (waitReplicas)`
      if (connected < waitReplicas) throw new StoreUnavailableError(`${what}: ${connected} are connected`)
      throw new StoreTimeoutError(`${what} after the deadline`)
    }
    const now = performance.now()
    if (now - this.#warnedAt < REPLICA_WARNING_PAUSE_MS) return
    this.#warnedAt = now
    logger.warn(
      { store: 'redis', ...this.#counts },
      'a login, an end or a rotation was answered before a replica of Redis had it: a failover now could lose it',
    )
  }
}
