/** What the processes under fault answer to their visitors, whatever the store. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Session, Sessions } from '../../src/index.ts'

export type Fields = Readonly<Record<string, unknown>>

/** What a visitor asks. */
export type Action =
  | { readonly do: 'read' | 'logout' | 'rotate' }
  | { readonly do: 'set'; readonly fields: Fields }
  | { readonly do: 'add' }
  | { readonly do: 'login'; readonly user: string }

/** What a visitor is answered: the session as this node sees it. */
export interface View {
  readonly node: number
  readonly key: string
  readonly isNew: boolean
  readonly user: string | null
  readonly data: Fields
}

/** Does what the visitor asks, and shows the session. */
export async function answer(
  node: number,
  sessions: Sessions<Record<string, unknown>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk)
  const session = sessions.of(request)
  await act(session, JSON.parse(text) as Action)
  const { key, isNew, user, data } = session
  json(response, { node, key, isNew, user, data: { ...data } } satisfies View)
}

async function act(session: Session<Record<string, unknown>>, action: Action): Promise<void> {
  switch (action.do) {
    case 'read':
      return
    case 'set':
      return void Object.assign(session.data, action.fields)
    case 'add':
      return void (await session.update('count', (count) => Number(count ?? 0) + 1))
    case 'login':
      return session.login(action.user)
    case 'logout':
      return session.logout()
    case 'rotate':
      return session.rotate()
  }
}

export function json(response: ServerResponse, body: unknown): void {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(body))
}
