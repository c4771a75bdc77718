import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import * as fc from 'fast-check'
import { session } from '../../../src/compat/express-session/index.ts'
import { createTestSessions } from '../../../src/testing/index.ts'
import { createVisitor, type Visitor } from '../../support/jar.ts'
import { checkProperty } from '../../support/seed.ts'
import { express5, expressSession, type Server, serve, shop } from './app.ts'

/** What somebody does: asks a path; or keeps a copy of the cookies, and asks with that copy later. */
interface Step {
  readonly visitor: number
  readonly path: string
  readonly copy: 'no' | 'keep' | 'use'
}

/** What may be told of an answer. */
interface Told {
  readonly status: number
  readonly location: string | null
  readonly body: unknown
  /** Whether a login gave the client another token. */
  readonly isNewToken: boolean
}

/** One side: a server, and the name of its cookie. */
interface Side {
  readonly server: Server
  readonly cookie: string
}

let sides: readonly Side[] = []
const secret = 'a secret of thirty-two characters at least'

before(async () => {
  const theirs = expressSession({ secret, resave: false, saveUninitialized: false, unset: 'destroy' })
  const ours = session(createTestSessions())
  sides = [
    { server: await serve(shop(express5, theirs)), cookie: 'connect.sid' },
    { server: await serve(shop(express5, ours)), cookie: '__Host-sid' },
  ]
})
after(async () => {
  for (const { server } of sides) await server[Symbol.asyncDispose]()
})

/**
 * Where the tokens are compared. Elsewhere they differ on purpose: there an empty session has a cookie too, and that of a
 * destroyed one stays with its client; here it is taken away.
 */
const CHANGES_TOKEN = /password=pw/

async function play({ server, cookie }: Side, steps: readonly Step[]): Promise<Told[]> {
  const visitors = [createVisitor(), createVisitor()]
  const copies: (Visitor | undefined)[] = []
  const told: Told[] = []
  for (const { visitor: index, path, copy } of steps) {
    const original = visitors[index] ?? createVisitor()
    if (copy === 'keep') {
      await original.fetch(`${server.url}/views`) // there an empty session can be shared too; here it is none
      copies[index] = await original.clone()
    }
    const visitor = copy === 'use' ? ((await copies[index]?.clone()) ?? original) : original
    const tokenBefore = await visitor.cookie(cookie)
    const response = await visitor.fetch(`${server.url}${path}`)
    const type = response.headers.get('content-type') ?? ''
    const body: unknown = type.includes('json') ? await response.json() : await response.text()
    const isNewToken = CHANGES_TOKEN.test(path) && (await visitor.cookie(cookie)) !== tokenBefore
    told.push({ status: response.status, location: response.headers.get('location'), body, isNewToken })
  }
  return told
}

async function isTheSame(steps: readonly Step[]): Promise<void> {
  const [theirs, ours] = await Promise.all(sides.map((side) => play(side, steps)))
  const lines = (told: readonly Told[] | undefined): object[] =>
    (told ?? []).map((line, at) => ({ step: steps[at], ...line }))
  assert.deepEqual(lines(ours), lines(theirs))
}

const paths = fc.constantFrom(
  '/show', '/views', '/views', '/set?name=a&value=1', '/set?name=b&value=2', '/delete?name=a', '/delete?name=flash',
  '/cart?item=tea', '/cart?item=milk', '/login?username=ada&password=pw', '/login?username=bob&password=pw&keep=yes',
  '/login?username=ada&password=no', '/login?username=nobody&password=pw', '/logout', '/logout?keep=yes', '/flash?message=hi', '/flashes',
  '/regenerate?value=1', '/regenerate?value=', '/reload', '/destroy', '/unset', '/save?value=1', '/fail', '/names',
) // prettier-ignore

const one = (...all: string[]): Step[] => all.map((path) => ({ visitor: 0, path, copy: 'no' }))

suite('beside the real express-session', () => {
  for (const [what, steps] of Object.entries({
    'a login drops what was before, or keeps it': one(
      '/views',
      '/login?username=ada&password=pw',
      '/show',
      '/views',
      '/login?username=bob&password=pw&keep=yes',
      '/show',
    ),
    'a logout, with and without what was before': one(
      '/login?username=ada&password=pw',
      '/views',
      '/logout?keep=yes',
      '/show',
      '/logout',
      '/show',
    ),
    'a failed login tells why, once by flash': one('/login?username=ada&password=no', '/show', '/flashes', '/show'),
    'flash messages are read once, after a redirect too': one(
      '/flash?message=a',
      '/flash?message=b',
      '/save?value=1',
      '/flashes',
      '/flashes',
    ),
    'nested changes, deletions, names': one(
      '/cart?item=a',
      '/cart?item=b',
      '/set?name=x&value=1',
      '/names',
      '/delete?name=x',
      '/names',
      '/show',
    ),
    'reload, regenerate, destroy, unset': one(
      '/reload',
      '/views',
      '/reload',
      '/regenerate?value=2',
      '/show',
      '/destroy',
      '/show',
      '/views',
      '/unset',
      '/show',
    ),
    'an error keeps what was assigned': one('/views', '/fail', '/show'),
  })) {
    test(what, () => isTheSame(steps))
  }

  test('random scripts of two visitors, and copies of their cookies', async () => {
    const copy = fc.constantFrom<Step['copy'][]>('no', 'no', 'no', 'keep', 'use')
    const scripts = fc.array(fc.record({ visitor: fc.nat(1), path: paths, copy }), { minLength: 2, maxLength: 14 })
    await checkProperty(fc.asyncProperty(scripts, isTheSame), { runs: Number(process.env['RUNS'] ?? 60) })
  })
})
