/** A header to add to the response. */
export type HeaderLine = [name: string, value: string]

/** Options of {@link Session.login}. */
export interface LoginOptions {
  /**
   * Keep what the visitor had before (a cart), or start from `initial()`, dropping what this request has assigned too.
   * Default: `'keep'`; `'reset'` where another user is still logged in.
   */
  data?: 'keep' | 'reset' | undefined
  /**
   * What to call the device in `sessions.list(user)`; cut to 200 characters. Default: what `clientLabel` says of the
   * request, which is its address and user agent.
   */
  client?: string | undefined
}

/** One visitor's session in one request. */
export interface Session<Data extends object> {
  /** SHA-256 of the token's selector: the name of the session in logs, in the store and for `revoke`. Not a credential. */
  readonly key: string
  /** Whether nothing is stored yet. */
  readonly isNew: boolean
  /** The user that logged in, or `null`. */
  readonly user: string | null
  readonly createdAt: Date
  readonly lastSeenAt: Date
  /** When it ends if it is not used again. */
  readonly expiresAt: Date
  /**
   * The data. Changes, nested ones included, are written before the first byte of the response; later ones by
   * `save()`. Overwrite by assignment; compute with {@link update}.
   */
  data: Data

  /**
   * Computes one field from its present value, losing no concurrent update and applying none twice. Written at once;
   * resolves the new value. Where this request has assigned the field before, that value is what counts, and is
   * overwritten as an assignment would. Objects of the field that were taken from `data` earlier are detached.
   *
   * @param compute called again, with a fresh copy, when another request was faster; it must be synchronous
   * @throws SessionGoneError, SessionSupersededError, StoreUnavailableError
   */
  update<Name extends keyof Data & string>(field: Name, compute: (value: Data[Name]) => Data[Name]): Promise<Data[Name]>

  /**
   * Makes the session the user's, with a new token; the old one is dead at once. Changes made so far are written with
   * it. A session that ended or was superseded meanwhile is replaced by a new one.
   *
   * @param user 1 to 256 characters, as your application names the user
   * @throws SojournError `too_many_sessions` by `maxSessionsPerUser`; `login_revoked` where `sessions.revokeUser` came
   * meanwhile: nobody is logged in then
   */
  login(user: string, options?: LoginOptions): Promise<void>

  /** Ends the session on every node. What is assigned afterwards begins a new one. Twice is once. */
  logout(): Promise<void>

  /**
   * Hands out a successor of the token; the present one stays good until the successor was used, and for the grace after
   * that. Who comes later with either of two tokens that went different ways is seen: `stolen`. Within twice the grace of
   * the last rotation it does nothing: with two so close together, a late answer could put back a token whose grace is
   * over. `rotateEvery` does it by itself.
   */
  rotate(): Promise<void>

  /** Writes the changes made so far, now. The only way to write an assignment made after the response has begun. */
  save(): Promise<void>

  /**
   * Reads the session again, for a request that takes long: `data` is what other requests made of it, and what was
   * changed here and not saved is forgotten. Objects that were taken from `data` earlier are detached. Where nothing is
   * stored yet, `data` is what `initial()` gives.
   *
   * @throws SessionGoneError, SessionSupersededError, SessionInvalidError, StoreUnavailableError
   */
  reload(): Promise<void>
}
