/** The demo's visit to its own fleet: each step does one thing, says what was observed, and fails where that is not right. */

import { type CrowdReport, withCrowd } from './crowd.ts'
import type { Fleet, FleetAffinity, FleetNode } from './fleet.ts'
import type { ShopAnswer } from './shop.ts'
import type { FleetStoreName } from './stores.ts'
import { Visitor } from './visitor.ts'

const USER = 'ada'
const ITEM = 'tea'

/** Options of {@link takeTour}. */
export interface TourOptions {
  readonly fleet: Fleet
  readonly store: FleetStoreName
  readonly affinity: FleetAffinity
  /** Called with each line to be shown. */
  readonly print: (line: string) => void
}

/** A step that failed, or whose observation was not as it should be. */
export class TourError extends Error {
  override readonly name: string = 'TourError'

  constructor(step: string, cause: unknown) {
    super(`${step}: ${toReason(cause)}`, { cause })
  }
}

/**
 * Visits a fleet of at least two nodes, all of which run; afterwards all run again.
 *
 * @throws TourError that names the step
 */
export async function takeTour(options: TourOptions): Promise<void> {
  const tour = new Tour(options)
  if (options.store !== 'memory') await tour.onSharedStore()
  else if (options.affinity === 'ip-hash') await tour.onMemoryWithIpHash()
  else await tour.onMemoryWithRoundRobin()
}

class Tour {
  readonly #fleet: Fleet
  readonly #print: (line: string) => void
  readonly #visitor = new Visitor()
  #steps = 0

  constructor({ fleet, print }: TourOptions) {
    this.#fleet = fleet
    this.#print = print
  }

  /** All nodes share the sessions: none is lost with a node, and one that ended is gone everywhere. */
  async onSharedStore(): Promise<void> {
    const { nodes, url } = this.#fleet
    const [first, ...others] = nodes
    if (!first) throw new TypeError('a tour needs nodes')
    const { key } = await this.#logIn(`Log in at ${first.name}, and put ${ITEM} into the cart`, first.url)
    for (const node of others) await this.#finds(key, `Ask ${node.name} with the same cookies`, node.url)
    const served = this.#fleet.node((await this.#finds(key, 'Ask through the gateway', url)).node.name)
    await this.#killInCrowd(served)
    const next = await this.#finds(key, 'Ask through the gateway again', url)
    check(next.node.pid !== served.pid, 'another process should have answered', next)
    // A logout takes the visitor's cookies away; only those from before it show that no node knows the session.
    const before = this.#visitor.clone()
    await this.#ask('Log out through the gateway', async () => unknown(await this.#visitor.act(url, 'logout')))
    await this.#restart(served)
    for (const node of nodes) await this.#misses(`Ask ${node.name} with the cookies from before`, node.url, before)
  }

  /** Each node has its own sessions, and the gateway keeps a client with its node: well until that node is lost. */
  async onMemoryWithIpHash(): Promise<void> {
    const { nodes, url } = this.#fleet
    const { key, holder } = await this.#logIn(`Log in through the gateway, and put ${ITEM} into the cart`, url)
    for (const time of ['', ' again', ' once more']) {
      await this.#ask(`Ask through the gateway${time}`, async () => {
        const answer = known(await this.#visitor.look(url), key)
        check(answer.node.pid === holder.pid, `ip_hash should have chosen ${holder.name} again`, answer)
        return answer
      })
    }
    for (const { name, url } of nodes) {
      if (name !== holder.name) await this.#misses(`Ask ${name} with the same cookies`, url)
    }
    await this.#kill(holder)
    await this.#misses('Ask through the gateway again', url)
    await this.#restart(holder)
    await this.#misses(`Ask ${holder.name} with the same cookies`, holder.url)
    this.#print(
      '  Why: ip_hash keeps a client with its node, but in memory a session lives in that one process, and is',
    )
    this.#print('  lost with it. With --store mesh, sqlite or redis every node knows it, and it stays.')
  }

  /** Each node has its own sessions, and the gateway goes from node to node: lost at the next request. */
  async onMemoryWithRoundRobin(): Promise<void> {
    const { url } = this.#fleet
    const { key, holder } = await this.#logIn(`Log in through the gateway, and put ${ITEM} into the cart`, url)
    await this.#ask('Ask through the gateway', async () => {
      const answer = unknown(await this.#visitor.look(url))
      check(answer.node.name !== holder.name, 'round-robin should have chosen another node', answer)
      return answer
    })
    await this.#finds(key, `Ask ${holder.name} with the same cookies`, holder.url)
    await this.#kill(holder)
    await this.#restart(holder)
    await this.#misses(`Ask ${holder.name} with the same cookies`, holder.url)
    this.#print('  Why: in memory a session lives in one process, and round-robin sends the next request to another,')
    this.#print('  which does not know it. --affinity ip-hash keeps a client with its node; --store mesh, sqlite or')
    this.#print('  redis lets every node know the session.')
  }

  /** The cart is filled at the node that did the login, since the gateway may choose another one for it. */
  async #logIn(title: string, url: string): Promise<{ key: string; holder: FleetNode }> {
    const answer = await this.#ask(title, async () => {
      const { node, session } = await this.#visitor.act(url, 'login', { user: USER })
      const answer = await this.#visitor.act(this.#fleet.node(node.name).url, 'cart', { item: ITEM })
      check(session.key !== null, 'the login should have stored a session', answer)
      return known(answer, session.key ?? '')
    })
    return { key: answer.session.key ?? '', holder: this.#fleet.node(answer.node.name) }
  }

  #finds(key: string, title: string, url: string): Promise<ShopAnswer> {
    return this.#ask(title, async () => known(await this.#visitor.look(url), key))
  }

  async #misses(title: string, url: string, visitor: Visitor = this.#visitor): Promise<void> {
    await this.#ask(title, async () => unknown(await visitor.look(url)))
  }

  #ask(title: string, action: () => Promise<ShopAnswer>): Promise<ShopAnswer> {
    return this.#step(title, action, describe)
  }

  async #kill({ name, pid }: FleetNode): Promise<void> {
    const title = `Kill ${name}, which served, by SIGKILL`
    await this.#step(
      title,
      () => this.#killNow(name, pid),
      () => `pid ${pid} is gone`,
    )
  }

  /** While visitors change their sessions: nothing that they were told is lost with the node. */
  async #killInCrowd({ name, pid }: FleetNode): Promise<void> {
    const { url } = this.#fleet
    const action = (): Promise<CrowdReport> =>
      withCrowd(
        url,
        () => this.#killNow(name, pid),
        () => this.#fleet.nodes.filter(({ alive }) => alive),
      )
    await this.#step(
      `Kill ${name}, which served, by SIGKILL, while other visitors count their views`,
      action,
      ({ visitors, acknowledged, failed }) =>
        `pid ${pid} is gone; ${visitors} visitors were told of ${acknowledged} views, of which every other node knows all; ` +
        `${failed} requests failed`,
    )
  }

  async #killNow(name: string, pid: number): Promise<void> {
    await this.#fleet.kill(name, 'SIGKILL')
    if (isThere(pid)) throw new Error(`pid ${pid} is still there`)
  }

  async #restart({ name }: FleetNode): Promise<void> {
    const describe = (node: FleetNode): string => `${name} runs as pid ${node.pid}`
    await this.#step(`Start ${name} again`, () => this.#fleet.restart(name), describe)
  }

  async #step<T>(title: string, action: () => Promise<T>, describe: (result: T) => string): Promise<T> {
    this.#steps += 1
    const step = `${String(this.#steps).padStart(2)}. ${title}`
    try {
      const result = await action()
      this.#print(`  ${step}\n      ${describe(result)}`)
      return result
    } catch (error) {
      throw new TourError(`step ${step.trimStart()}`, error)
    }
  }
}

/** The answer, which must be of the session of this key with what the visitor did. */
function known(answer: ShopAnswer, key: string): ShopAnswer {
  const { session } = answer
  const isWhole = session.key === key && session.user === USER && session.cart.join() === ITEM
  check(isWhole, `it should know session ${key}: user ${USER}, cart ${ITEM}`, answer)
  return answer
}

/** The answer, which must be of a node that knows no session. */
function unknown(answer: ShopAnswer): ShopAnswer {
  const { key, user, cart } = answer.session
  check(key === null && user === null && cart.length === 0, 'it should know no session', answer)
  return answer
}

function check(isRight: boolean, wanted: string, answer: ShopAnswer): void {
  if (!isRight) throw new Error(`${wanted}; observed: ${describe(answer)}`)
}

function describe({ node, session: { key, user, cart } }: ShopAnswer): string {
  const seen = key === null ? 'knows no session' : `session ${key}, user ${user ?? '(none)'}, cart ${cart.join(', ')}`
  return `${node.name} (pid ${node.pid}): ${seen}`
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** What `fetch` says of a refused connection stands in its cause. */
function toReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message
}
