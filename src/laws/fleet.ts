import type { LawNeed, LawNumber, LawTest } from './law.ts'

/** The two methods of a cookie jar that the laws use; `CookieJar` of tough-cookie fits. */
export interface CookieJarLike {
  /** Takes in a Set-Cookie header that came from this address. */
  setCookie(header: string, url: string): unknown
  /** The Cookie header for a request to this address. */
  getCookieString(url: string): string | Promise<string>
}

/** One node of a fleet: a `startLawNode` in this process or in another. */
export interface FleetNode {
  /** Where it listens now; a node that was started again may have another port. */
  readonly url: string
  /** Ends it gracefully; resolves when it has answered what it had and is gone. */
  stop?(): Promise<void>
  /** Ends it as SIGKILL does, with no time for anything; resolves when it is gone. */
  kill?(): Promise<void>
  /** Starts a node that was stopped or killed again. */
  start?(): Promise<void>
  /**
   * Makes the node's store client lose the answer to the next change that it sends, so that the client library sends it
   * again, as a proxy that cuts the connection does. Resolves once it is armed. Default: the change is sent twice to the
   * store, and the second answer is taken.
   */
  loseNextAnswer?(): Promise<void>
}

/** A law that a store does not keep, why, and the test of what it does instead. */
export interface LawExcuse {
  readonly law: LawNumber
  /** The tests of the law that are excused, by their ids. Default: all. */
  readonly tests?: readonly string[]
  /** Why the store cannot keep it, as a sentence of `docs/laws.md`. */
  readonly why: string
  /** What happens instead, proven. */
  readonly refusal: LawTest
}

/** A running fleet, as the laws see it. */
export interface LawFleet {
  /** Nodes on one store; two are enough, three show more. Nodes in one process cannot be killed. */
  readonly nodes: readonly FleetNode[]
  createJar(): CookieJarLike
  /** All that the store holds at rest (files, keys and values), to be searched for tokens. Default: what the nodes gave to the store. */
  contents?(): Promise<readonly (string | Uint8Array)[]>
  /** Schedules that the test of honest clients draws. Default: 100. */
  readonly schedules?: number
  /** Seed of what is drawn at random. Default: a new one, named where the law breaks. */
  readonly seed?: number
}

/** Whether this fleet has what a test asks for. */
export function meets({ nodes }: LawFleet, need: LawNeed): boolean {
  switch (need) {
    case 'twoNodes':
      return nodes.length >= 2
    case 'stop':
      return nodes.every((node) => node.stop !== undefined && node.start !== undefined)
    case 'kill':
      return nodes.every((node) => node.kill !== undefined && node.start !== undefined)
  }
}
