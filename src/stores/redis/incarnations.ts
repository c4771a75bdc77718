import { incarnationsKey, nodesKey } from './keys.ts'
import { applyScript, claimScript, type Script } from './scripts.ts'

/** Runs a script about one key, on the server that has it. */
export type RunScript = (script: Script, key: string, args: readonly string[]) => Promise<unknown>

/**
 * The incarnations of the servers, as their list in Redis has them: `<prefix>incarnations`, by replication id.
 *
 * A server has a replication id of its own from when it becomes a master until it ends or is one no more. So whatever a
 * failover or a restart has lost, the next change finds a server that has no incarnation yet, gives it one above all
 * others, and no version is issued twice. The script that changes sessions knows the list by heart and changes none on
 * another server, whichever way it came there.
 */
export class Incarnations {
  readonly #key: string
  readonly #nodesKey: string
  readonly #run: RunScript
  readonly #claims = new Map<string, Promise<void>>()
  #highest = 0
  #script: Script = applyScript.at('')

  constructor(keyPrefix: string, run: RunScript) {
    this.#key = incarnationsKey(keyPrefix)
    this.#nodesKey = nodesKey(keyPrefix)
    this.#run = run
  }

  /** Changes a session on the servers known so far. */
  get script(): Script {
    return this.#script
  }

  /** Gives the server that answered `i<replication id> <keys>` an incarnation, unless another node did. */
  claim(answer: string): Promise<void> {
    const [server = '', keys = ''] = answer.slice(1).split(' ')
    const claim = this.#claims.get(server) ?? this.#claim(server, keys).finally(() => this.#claims.delete(server))
    this.#claims.set(server, claim)
    return claim
  }

  async #claim(server: string, keys: string): Promise<void> {
    const reply = await this.#run(claimScript, this.#key, [server, keys, `${this.#highest}`, this.#nodesKey])
    if (!Array.isArray(reply)) throw new Error('the list of incarnations cannot be read')
    const known: string[] = []
    for (let index = 0; index + 1 < reply.length; index += 2) {
      known.push(`${reply[index]}=${reply[index + 1]};`)
      this.#highest = Math.max(this.#highest, Number(reply[index + 1]))
    }
    // In one order on all nodes, which share the script.
    this.#script = applyScript.at(known.toSorted().join(''))
  }
}
