/** What a node of the demo serves: a page, and the little shop behind it as JSON. */

import { hash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { parseCookie } from 'cookie'
import { withSession } from '../adapters/node.ts'
import type { Session, Sessions } from '../index.ts'
import { PAGE, SCRIPT, STYLE } from './page.ts'
import type { MeshWatch } from './watched-mesh.ts'

/** A visitor's data in the demo. */
export interface ShopData {
  views: number
  cart: string[]
}

/** What every route of the shop answers: who answered, and the session as this node sees it. */
export interface ShopAnswer {
  readonly node: {
    readonly name: string
    readonly pid: number
    /** On the mesh: how often it has asked another node for what it does not hold. */
    readonly hops: number
  }
  readonly session: {
    /** The beginning of the session's key; `null` where nothing is stored. */
    readonly key: string | null
    readonly user: string | null
    readonly views: number
    readonly cart: readonly string[]
    /** The version that the visitor's hint cookie named in this request. */
    readonly hint: string | null
    /** On the mesh: the nodes that keep the session, its owner first. */
    readonly holders: readonly string[]
  }
}

/** What {@link createShop} serves with. */
export interface ShopOptions {
  readonly name: string
  readonly sessions: Sessions<ShopData>
  readonly mesh?: MeshWatch | undefined
}

/** Largest body of a request, in bytes; the demo's have a few dozen. */
const BODY_BYTES_MAX = 4_096
const KEY_CHARACTERS_SHOWN = 10

const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': [
    "default-src 'none'",
    "connect-src 'self'",
    'img-src data:',
    `style-src 'sha256-${hash('sha256', STYLE, 'base64')}'`,
    `script-src 'sha256-${hash('sha256', SCRIPT, 'base64')}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
}

type Action = (session: Session<ShopData>, body: Readonly<Record<string, unknown>>) => Promise<unknown>

const ACTIONS: Readonly<Record<string, Action>> = {
  'POST /api/login': (session, { user }) => session.login(toText('user', user)),
  'POST /api/logout': (session) => session.logout(),
  'POST /api/view': (session) => session.update('views', (views) => views + 1),
  'POST /api/cart': async (session, { item }) => {
    const text = toText('item', item)
    await session.update('cart', (cart) => [...cart, text])
  },
  'GET /api/session': async () => {},
}

/** The listener of a node: `GET /` is the page, `/api/…` the shop. */
export function createShop({
  name,
  sessions,
  mesh,
}: ShopOptions): (request: IncomingMessage, response: ServerResponse) => void {
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = pathOf(request)
    if (path === '/') return answerPage(response)
    const action = Object.hasOwn(ACTIONS, `${request.method} ${path}`)
      ? ACTIONS[`${request.method} ${path}`]
      : undefined
    if (!action) return answerJson(response, 404, { error: 'not_found', message: `no ${request.method} ${path} here` })
    const session = sessions.of(request)
    await action(session, request.method === 'POST' ? await bodyOf(request) : {})
    const node = { name, pid: process.pid, hops: mesh?.hops() ?? 0 }
    const answer: ShopAnswer = { node, session: toView(session, request, mesh) }
    answerJson(response, 200, answer)
  }
  return withSession(sessions, serve, {
    skip: (request) => !pathOf(request).startsWith('/api/'),
    onError: (error, _, response) => answerError(response, error, name),
  })
}

function toView(
  session: Session<ShopData>,
  { headers }: IncomingMessage,
  mesh: MeshWatch | undefined,
): ShopAnswer['session'] {
  const hint = Object.entries(parseCookie(headers.cookie ?? '')).find(([name]) => name.endsWith('sid-v'))?.[1] ?? null
  const { isNew, user, data } = session
  return {
    key: isNew ? null : session.key.slice(0, KEY_CHARACTERS_SHOWN),
    user,
    views: data.views,
    cart: [...data.cart],
    hint,
    holders: isNew ? [] : (mesh?.holders(session.key) ?? []),
  }
}

function answerPage(response: ServerResponse): void {
  response.writeHead(200, { ...HEADERS, 'content-type': 'text/html; charset=utf-8' })
  response.end(PAGE)
}

function answerJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { ...HEADERS, 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

function answerError(response: ServerResponse, error: unknown, node: string): void {
  if (response.headersSent) return void response.destroy()
  const { status = 500, code = 'error', message = String(error), headers = {} } = error as Partial<RequestError>
  if (status === 500) console.error(error)
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  answerJson(response, status, { error: code, message, node: { name: node, pid: process.pid } })
}

/** What is read of an error: Sojourn's have all of it. */
interface RequestError {
  readonly status: number
  readonly code: string
  readonly message: string
  readonly headers: Readonly<Record<string, string>>
}

function toBadRequest(status: number, message: string): RequestError {
  return Object.assign(new Error(message), { status, code: 'bad_request', headers: {} })
}

/** Only JSON: a form of another site cannot send it without asking first, and nobody here says yes. */
async function bodyOf(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  if (request.headers['content-type'] !== 'application/json') throw toBadRequest(415, 'send JSON')
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += String(chunk)
    if (text.length > BODY_BYTES_MAX) throw toBadRequest(413, `a body has at most ${BODY_BYTES_MAX} bytes`)
  }
  try {
    const body: unknown = JSON.parse(text)
    if (typeof body === 'object' && body !== null) return body as Record<string, unknown>
  } catch {
    // told below
  }
  throw toBadRequest(400, 'the body is not a JSON object')
}

function toText(name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '' && value.length <= 64) return value
  throw toBadRequest(400, `${name} is text of 1 to 64 characters`)
}

function pathOf({ url = '/' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? '/'
}
