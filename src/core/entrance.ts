import type { FieldChanges } from './data.ts'
import type { Engine } from './engine.ts'
import { SojournError } from './errors.ts'
import { assertRoom } from './seats.ts'
import { encodeLogin, LOGIN_FIELD } from './use.ts'
import { callUsers } from './user-index.ts'

const NOTHING: FieldChanges = new Map()

/**
 * The way of one login through the index of its user, as {@link UserSessions} tells it; none where the store has no such
 * power. It may take several keys in turn, where the session of the first is gone.
 */
export class Entrance<Data extends object> {
  readonly #engine: Engine<Data>
  readonly #user: string
  readonly #client: string
  #epoch: string | undefined
  #at = 0

  /** @param client label of the device */
  constructor(engine: Engine<Data>, user: string, client: string) {
    this.#engine = engine
    this.#user = user
    this.#client = client
  }

  /** What the change that logs in writes beside the application's fields. */
  get fields(): FieldChanges {
    if (!this.#engine.findsUsers) return NOTHING
    const needsSeat = this.#engine.policy.maxSessionsPerUser !== undefined
    return new Map([[LOGIN_FIELD, encodeLogin({ client: this.#client, needsSeat })]])
  }

  /** Before the login is applied. @throws SojournError `too_many_sessions` */
  async enter(key: string): Promise<void> {
    const engine = this.#engine
    if (!engine.findsUsers) return
    if (engine.policy.maxSessionsPerUser?.policy === 'refuse') await assertRoom(engine, this.#user, key)
    this.#at = engine.clock.now()
    const login = { user: this.#user, key, at: this.#at }
    const epoch = await callUsers(engine, 'enter', (users) => users.enter(login))
    this.#epoch ??= epoch // that of the first key: since then the login is under way
  }

  /** After it was applied. Where it rejects, the session is to be ended before anybody is given its token. @throws SojournError `login_revoked` */
  async settle(key: string): Promise<void> {
    const epoch = this.#epoch
    if (!this.#engine.findsUsers || epoch === undefined) return
    const login = { user: this.#user, key, at: this.#at }
    if (await callUsers(this.#engine, 'settle', (users) => users.settle(login, epoch))) return
    throw new SojournError(
      'login_revoked',
      409,
      'all sessions of this user were ended by revokeUser while this login was under way, so that it did not happen; let the user show who they are again, then call login()',
    )
  }
}
