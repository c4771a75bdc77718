import type { LawFleet } from './fleet.ts'

/** The laws, by their number in `docs/laws.md`. */
export type LawNumber = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8

/** What each law promises, in the words of the documentation. */
export const lawTexts: Readonly<Record<LawNumber, { readonly name: string; readonly promise: string }>> = {
  1: {
    name: 'Gone is gone',
    promise:
      'Once logout or revoke has resolved, no request that starts later on any node sees the session, and no slow request in flight, retried command or returning node brings it back.',
  },
  2: {
    name: 'No lost update',
    promise:
      'Concurrent requests that change different fields all keep their change; `update()` on one field loses none and applies none twice, whatever a client library re-sends.',
  },
  3: {
    name: "Nobody else's",
    promise: 'A token opens only its own session; stores hold keys, never tokens; logs and errors never show a token.',
  },
  4: {
    name: 'Time is enforced at read',
    promise: "Idle and absolute timeouts hold, within the stated clock error, whatever a store's cleaning does.",
  },
  5: {
    name: 'No fixation',
    promise:
      'An unknown token is never adopted; `login()` always changes the token; the old one is dead at once, and a change begun under it cannot commit into the logged-in session.',
  },
  6: {
    name: 'No loss',
    promise: 'A change acknowledged to the client survives the kill of any one node; a graceful stop loses nothing.',
  },
  7: {
    name: 'Read your writes, anywhere',
    promise:
      'A request that carries the hint of an acknowledged change, or a later one, sees that change on whichever node it lands; one without a hint is behind by a lease at most.',
  },
  8: {
    name: 'Theft shows',
    promise:
      'A token used after its successor was presented and its grace has passed ends the session and raises `stolen`. Loss, abort, reordering and parallelism never make an honest client a thief.',
  },
}

/**
 * What a test asks of a fleet:
 * - `twoNodes`: two nodes or more that share their sessions;
 * - `stop`: nodes can be stopped gracefully and started again;
 * - `kill`: nodes can be killed as SIGKILL does, and started again.
 */
export type LawNeed = 'twoNodes' | 'stop' | 'kill'

/** One test of one law. It knows no test runner. */
export interface LawTest {
  readonly law: LawNumber
  /** Short and stable: names the test in {@link LawBrokenError} and in lists of faults. */
  readonly id: string
  /** What holds, as a sentence. */
  readonly title: string
  readonly needs: readonly LawNeed[]
  /**
   * Drives the fleet. Tests of one fleet run one after the other.
   *
   * @throws LawBrokenError when the law does not hold
   */
  run(fleet: LawFleet): Promise<void>
}

/** A law does not hold: what was promised, and what was seen. */
export class LawBrokenError extends Error {
  override readonly name: string = 'LawBrokenError'
  readonly law: LawNumber
  /** The {@link LawTest.id} of the test that saw it. */
  readonly test: string
  readonly promised: string
  readonly seen: string

  constructor({ law, id, title }: Pick<LawTest, 'law' | 'id' | 'title'>, seen: string) {
    super(`law ${law} (${lawTexts[law].name}) is broken. Promised (${id}): ${title}. Seen: ${seen}`)
    this.law = law
    this.test = id
    this.promised = title
    this.seen = seen
  }
}
