import { checkArguments } from '../../adapters/arguments.ts'
import type { Sessions } from '../../core/index.ts'

const USAGE = 'app.use(session(sessions))'

/** Options of express-session, and what stands for them. */
const ADVICE: Readonly<Record<string, string>> = {
  secret: 'give it to createSessions({ secret })',
  store: 'give createSessions({ store }) one of Sojourn, such as redisStore({ url })',
  name: 'give createSessions({ cookie: { name } })',
  key: 'give createSessions({ cookie: { name } })',
  cookie:
    'give createSessions({ cookie }); its maxAge is idleTimeout there, and cookie: { persistent: true } where the cookie is to outlive the window of the browser',
  resave: 'leave it out: what did not change is never written',
  saveUninitialized: 'leave it out: a session begins when something is assigned to it',
  rolling: 'leave it out: each use renews idleTimeout, and the cookie needs no renewal',
  genid: 'leave it out: tokens are always random',
  proxy: 'leave it out: the cookie is Secure by createSessions({ cookie: { secure } }), whatever a proxy says',
  unset: 'leave it out: `req.session = null` ends the session, and what is not to be written is not assigned',
}

/** @throws TypeError that says what stands for an option of express-session */
export function checkOptions<Data extends object>(sessions: Sessions<Data>, options: object): void {
  const isOptionsOfOld = typeof sessions === 'object' && sessions !== null && Object.keys(sessions).some(isOld)
  if (isOptionsOfOld) {
    const advice = Object.keys(sessions).filter(isOld).map(adviceOn)
    throw new TypeError(`give the sessions that createSessions() returned: ${USAGE}; ${advice.join('; ')}`)
  }
  const [old] = Object.keys(options).filter(isOld)
  if (old !== undefined) throw new TypeError(`session(sessions, options) has no such option; ${adviceOn(old)}`)
  checkArguments(USAGE, sessions, options, ['skip', 'user'])
}

function isOld(name: string): boolean {
  return Object.hasOwn(ADVICE, name)
}

function adviceOn(name: string): string {
  return `${name}: ${ADVICE[name]}`
}
