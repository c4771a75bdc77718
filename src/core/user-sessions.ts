/** A login on its way, or one that has happened. */
export interface UserLogin {
  readonly user: string
  readonly key: string
  /** When the user logs in, by the node's wall clock: milliseconds since 1970. */
  readonly at: number
}

/** A key that a store has under a user. */
export interface UserEntry {
  readonly key: string
  /** When it was entered or settled last, about: the store may move it so that entries differ. Milliseconds since 1970. */
  readonly at: number
}

/** A part of a user's keys, and where the next part begins. */
export interface UserPage {
  readonly entries: readonly UserEntry[]
  /** For {@link UserSessions.list}; none after the last part. */
  readonly next?: string
}

/**
 * The power of a store to find the sessions of a user.
 *
 * Session and user may be kept in different places, which nothing changes as one step. So a login goes
 *
 * 1. `enter`, which resolves the epoch of the user;
 * 2. `apply`, which makes the session the user's;
 * 3. `settle` with that epoch; where it has advanced meanwhile the session is ended before `login` resolves.
 *
 * Who ends all sessions of a user calls `advance`, then ends what `list` finds. A login is either applied when its key is
 * looked at, or finds the epoch advanced; and wherever a node stops in between, nobody was given the token yet.
 *
 * What is listed is only where to look: the record says whether its session is the user's. A key whose session has ended
 * or is another user's may stay listed until it is met, or until no session can be so old.
 *
 * - A store with an index of its own enters keys in `enter`, before the session is the user's, so that it misses none.
 * - A store that finds sessions by their records enters nothing, and has no `leave`.
 *
 * Every method may be called again with the same arguments, and rejects as those of the store do. A call touches a number
 * of entries that its arguments bound.
 */
export interface UserSessions {
  /** Before a login is applied: `list` has the key from then on, and where it had it already it keeps its place. Resolves the epoch; `''` before the first. */
  enter(login: UserLogin): Promise<string>

  /** After it was applied: `false` where the epoch is another. Else `list` has the key, as the newest, or where the time of its login puts it. */
  settle(login: UserLogin, epoch: string): Promise<boolean>

  /** Gives the user an epoch that there never was. It may be forgotten after {@link EPOCH_MS}, when no login from before can be on its way. */
  advance(user: string): Promise<void>

  /**
   * Keys of the user, newest first; a store that finds them by their records gathers some thousand at a time, and gives
   * those newest first. What is entered meanwhile may be missed; what was there before is not, unless it is settled anew or
   * leaves.
   *
   * @param options.after `next` of the part before; default: the beginning
   */
  list(user: string, options: { readonly limit: number; readonly after?: string }): Promise<UserPage>

  /** Takes keys out, and their seats; none that was settled later than `at`. Default: keys leave with their records. */
  leave?(user: string, entries: readonly UserEntry[]): Promise<void>

  /**
   * Gives the session one of the seats of its user, where it has none and fewer than `max` are taken, as one step; it keeps
   * it until it leaves or, without `leave`, until the session ends or is another user's. Resolves whether it has one.
   */
  seat(login: UserLogin, max: number): Promise<boolean>

  /** Those that have a seat, oldest login first. */
  seated(user: string, limit: number): Promise<readonly UserEntry[]>
}
