import { USER_LENGTH_MAX } from './limits.ts'
import type { LoginOptions } from './session.ts'

/** Whether a session can be this user's. */
export function isUser(user: unknown): user is string {
  return typeof user === 'string' && user !== '' && user.length <= USER_LENGTH_MAX && user.isWellFormed()
}

/** @throws TypeError that says what a user is */
export function checkUser(method: string, user: unknown): void {
  if (isUser(user)) return
  throw new TypeError(
    `${method}(user): a user is text of 1 to ${USER_LENGTH_MAX} characters; for a number give String(id)`,
  )
}

/** @throws TypeError for what names no session, such as a session itself: to end nothing would look like success */
export function checkKey(method: string, key: unknown): void {
  if (typeof key === 'string' && key !== '') return
  throw new TypeError(`${method}(key): a key is text, session.key or that of an entry of sessions.list(user)`)
}

/** @throws TypeError that says what a user is, or which session goes on: a slip would end that too */
export function checkRevokeUser(user: unknown, options: { except?: string | undefined }): void {
  checkUser('revokeUser', user)
  checkOptions('revokeUser(user, { except })', options, ['except'])
  const { except } = options
  if (except === undefined || (typeof except === 'string' && except !== '')) return
  throw new TypeError('revokeUser(user, { except }): except is the key of the session that goes on: session.key')
}

function checkOptions(usage: string, options: object, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${usage}: the options are an object`)
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown !== undefined) throw new TypeError(`${usage} has no option ${JSON.stringify(unknown)}`)
}

/** @throws TypeError that says what a user is, or what may become of the data */
export function checkLogin(user: unknown, options: LoginOptions): void {
  checkUser('login', user)
  checkOptions('login(user, { data, client })', options, ['data', 'client'])
  const { data, client } = options
  if (client !== undefined && typeof client !== 'string') throw new TypeError('login(user, { client }): client is text')
  if (data !== undefined && data !== 'keep' && data !== 'reset') {
    throw new TypeError("login(user, { data }): data is 'keep' or 'reset'")
  }
}

/** @throws TypeError that shows how it is called */
export function checkUpdate(field: unknown, compute: unknown): void {
  if (typeof field === 'string' && typeof compute === 'function') return
  throw new TypeError("update(field, compute) takes a field's name and a function: update('views', (n) => n + 1)")
}

/** @throws TypeError for a promise: `compute` may be called again, and what it has awaited would be stale by then */
export function computed(field: string, compute: (value: unknown) => unknown, value: unknown): unknown {
  const result = compute(value)
  if (!(result instanceof Promise)) return result
  result.catch(() => {})
  throw new TypeError(
    `update(${JSON.stringify(field)}): its function must be synchronous; await before update(), and compute in it`,
  )
}
