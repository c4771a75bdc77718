/** Who is logged in, as the data of a session says: what `login` would be given. Nobody: `undefined` or `null`. */
export type UserOf<Data extends object> = (data: Data) => string | number | null | undefined

/** Whom `user` finds in the data. @throws TypeError for what cannot be a user */
export function userIn<Data extends object>(userOf: UserOf<Data>, data: Data): string | undefined {
  const user: unknown = userOf(data)
  if (user === undefined || user === null || user === '') return undefined
  if (typeof user === 'string') return user
  if (typeof user === 'number' && Number.isFinite(user)) return String(user)
  throw new TypeError('session(sessions, { user }): user(data) gives text or a number, at once; nobody is undefined')
}

/** The fields that `user` looks at. */
export function fieldsOfUser<Data extends object>(userOf: UserOf<Data>, data: Data): ReadonlySet<string> {
  const names = new Set<string>()
  const watched = new Proxy(data, {
    get: (fields, name) => {
      if (typeof name === 'string') names.add(name)
      return Reflect.get(fields, name)
    },
  })
  userOf(watched)
  return names
}

/**
 * Whom Passport has logged in: what `serializeUser` made, where that is text or a number, or its `id`.
 *
 * @throws TypeError where it is neither: `revokeUser` would then miss the session without a word
 */
export function passportUser(data: object): string | number | undefined {
  const { passport } = data as { passport?: { user?: unknown } | null }
  const user = passport?.user
  if (user === undefined || user === null || user === false) return undefined
  const id = typeof user === 'object' ? (user as { id?: unknown }).id : user
  if (typeof id === 'string' || typeof id === 'number') return id
  throw new TypeError(
    'serializeUser gave Passport neither text, nor a number, nor an object with such an id, so that nobody can tell whose session it is; give session(sessions, { user: (data) => … }), or () => undefined where nobody needs to',
  )
}
