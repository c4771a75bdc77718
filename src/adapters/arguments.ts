import type { Sessions } from '../core/index.ts'

/**
 * Checks what an adapter was given, at once: the first request is too late, and `app.use(session)` without the call would
 * leave every request without an answer.
 *
 * @param usage how it is written, for the message
 * @throws TypeError
 */
export function checkArguments<Data extends object>(
  usage: string,
  sessions: Sessions<Data>,
  options: object,
  names: readonly string[],
): void {
  if (typeof sessions?.open !== 'function' || typeof sessions.commit !== 'function') {
    throw new TypeError(`give the sessions that createSessions() returned: ${usage}`)
  }
  for (const [name, value] of Object.entries(options)) {
    if (!names.includes(name)) {
      throw new TypeError(`${usage} has no option ${JSON.stringify(name)}; its options are ${names.join(', ')}`)
    }
    if (value !== undefined && typeof value !== 'function') throw new TypeError(`${usage}: ${name} is a function`)
  }
}
