import {
  type HeaderLine,
  type Session,
  SessionGoneError,
  type Sessions,
  SessionSupersededError,
} from '../../core/index.ts'
import type { Committer } from '../../adapters/gate.ts'
import { assignedIn, type Callback, type Handle, leaveBehind, showSession } from './request-session.ts'
import { fieldsOfUser, userIn, type UserOf } from './user.ts'

/** What the middleware gives to a visit. */
export interface VisitSurroundings<Data extends object> {
  readonly sessions: Sessions<Data>
  readonly userOf: UserOf<Data>
  /** Takes the errors that nobody else is told. */
  readonly next: (error: unknown) => void
}

/**
 * One request of an application that was written for express-session. What it asks of `req.session` is done one after the
 * other, and the response waits for the last.
 */
export class Visit<Data extends object> implements Handle, Committer {
  readonly request: object
  readonly session: Session<Data>
  readonly #surroundings: VisitSurroundings<Data>
  #shown: object
  /** The application took it away: `req.session = null`. */
  #isUnset = false
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #isEnded = false
  #isCommitted = false
  /** The last that failed was told to a callback. */
  #isTold = false
  /** What failed with nobody to tell. */
  #failure: { readonly error: unknown } | undefined
  /** Whom the data named when they were read or written. */
  #user: string | undefined
  /** A login of another request took the session over: only another login may write. */
  #superseded: SessionSupersededError | undefined

  constructor(request: object, session: Session<Data>, surroundings: VisitSurroundings<Data>) {
    this.request = request
    this.session = session
    this.#surroundings = surroundings
    this.#user = this.#named()
    this.#shown = this.#show()
  }

  save(callback: Callback | undefined, from: object): void {
    this.#queue(async () => {
      this.#assertShown(from)
      await this.#agree()
      await this.session.save()
    }, callback)
  }

  reload(callback: Callback | undefined, from: object): void {
    this.#queue(async () => {
      this.#assertShown(from)
      await this.session.reload()
      this.#user = this.#named()
    }, callback)
  }

  regenerate(callback: Callback | undefined): void {
    this.#queue(async () => {
      await this.#leave()
      this.#isEnded = false
      this.#shown = this.#show()
    }, callback)
  }

  destroy(callback: Callback | undefined): void {
    checkCallback(callback)
    Reflect.deleteProperty(this.request, 'session')
    this.#queue(async () => {
      await this.#end()
      this.#isEnded = true
    }, callback)
  }

  /** Whether the handlers left nothing to do; the response need not wait then. Where no data changed, nor did the user in them. */
  isSettled(): boolean {
    const mayBe = this.#waiting === 0 && !this.#failure && !this.#superseded && this.#isInPlace
    if (mayBe) this.#isCommitted = this.#surroundings.sessions.isSettled(this.session)
    return this.#isCommitted
  }

  /** Brings the store up to what the handlers left in `req.session`. Where they answer by an error, what failed and was told is no second one. */
  commit({ statusCode }: { statusCode: number }): Promise<HeaderLine[]> {
    const isRefusal = statusCode >= 400
    return this.#inTurn(async () => {
      this.#isCommitted = true
      try {
        return await this.#commit()
      } catch (error) {
        if (this.#isTold && isRefusal) return []
        throw error
      }
    })
  }

  async #commit(): Promise<HeaderLine[]> {
    if (this.#failure) throw this.#failure.error
    if (this.#isInPlace) await this.#agree()
    else if (!this.#isEnded) await this.#end()
    if (this.#superseded) throw this.#superseded
    return this.#surroundings.sessions.commit(this.session)
  }

  /** Whether the application has `req.session` where it was put. */
  get #isInPlace(): boolean {
    return !this.#isEnded && (this.request as { session?: unknown }).session === this.#shown
  }

  /** Makes the user whom the data name the session's: whatever the application forgot to call, a login changes the token. */
  async #agree(): Promise<void> {
    const user = this.#toBecome()
    if (typeof user === 'string') await this.#login(user)
    else if (user === null) await this.#logOut()
    this.#user = this.#named()
  }

  /**
   * Whose this request makes the session: nobody's is `null`; `undefined` where it does not change that. Whom another
   * request named is that one's: several that find him at once would log him in several times.
   */
  #toBecome(): string | null | undefined {
    const user = this.#named()
    if (user === this.#user) return undefined
    const present = this.session.user
    // Whom new code has logged in by `sessions.of(request).login()` stays.
    if (user === undefined) return present === this.#user || present === null ? null : undefined
    return user !== present || this.#superseded ? user : undefined
  }

  async #login(user: string): Promise<void> {
    const { session } = this
    const mine = this.#ownFields()
    await session.login(user, { data: 'keep' })
    this.#superseded = undefined
    if (this.#named() === user) return
    // The session had ended or was taken over, so that this is another, which has nothing yet.
    Object.assign(session.data, mine)
    await session.save()
  }

  /** The user is no more in the data, which go on, without him, under another token. */
  async #logOut(): Promise<void> {
    const rest = { ...this.session.data }
    await this.session.logout()
    this.session.data = rest
  }

  /** Fields that this request has set, or that name its user. */
  #ownFields(): Partial<Data> {
    const { data } = this.session
    const names = new Set(fieldsOfUser(this.#surroundings.userOf, data))
    for (const name of assignedIn(this.#shown)) names.add(name)
    return Object.fromEntries(Object.entries(data).filter(([name]) => names.has(name))) as Partial<Data>
  }

  #named(): string | undefined {
    return userIn(this.#surroundings.userOf, this.session.data)
  }

  /** Ends the session for another to follow. What a login of another request took over is left to it. */
  async #leave(): Promise<void> {
    try {
      await this.#end()
    } catch (error) {
      if (!(error instanceof SessionSupersededError)) throw error
      this.#superseded = error
      leaveBehind(this.#shown, this.session.key, { ...this.session.data })
      const blank = await this.#surroundings.sessions.open({ headers: {} })
      this.session.data = blank.data
      this.#user = undefined
    }
  }

  async #end(): Promise<void> {
    const { key } = this.session
    const values = { ...this.session.data }
    await this.session.logout()
    leaveBehind(this.#shown, key, values)
    this.#user = undefined
  }

  /** Puts a new session object before the handlers. */
  #show(): object {
    const shown = showSession(this)
    this.#isUnset = false
    Object.defineProperty(this.request, 'session', {
      configurable: true,
      enumerable: true,
      get: () => (this.#isUnset ? null : shown),
      set: (value: unknown) => {
        if (value !== undefined && value !== null && value !== shown) {
          throw new TypeError('req.session cannot be another object; assign its properties, or null to end it')
        }
        this.#isUnset = value !== shown
      },
    })
    return shown
  }

  #assertShown(from: object): void {
    if (from !== this.#shown || this.#isEnded) throw new SessionGoneError()
  }

  #queue(task: () => Promise<void>, callback: Callback | undefined): void {
    checkCallback(callback)
    this.#inTurn(task).then(
      () => {
        this.#isTold = false
        this.#tell(callback)
      },
      (error: unknown) => {
        this.#isTold = Boolean(callback)
        if (callback) this.#tell(callback, error)
        else if (this.#isCommitted) this.#surroundings.next(error)
        else this.#failure ??= { error }
      },
    )
  }

  /** What a callback throws is an error of the request, and not of the process. */
  #tell(callback: Callback | undefined, ...error: unknown[]): void {
    const { next } = this.#surroundings
    try {
      const result: unknown = callback?.(...error)
      if (result instanceof Promise) result.catch(next)
    } catch (thrown) {
      next(thrown)
    }
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    this.#waiting += 1
    const result = this.#last.then(task)
    const done = (): void => void (this.#waiting -= 1)
    this.#last = result.then(done, done)
    return result
  }
}

/** @throws TypeError where a failure would have nobody to hear it */
function checkCallback(callback: unknown): void {
  if (callback === undefined || callback === null || typeof callback === 'function') return
  throw new TypeError('the callback is a function: (error) => …')
}
