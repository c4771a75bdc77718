/** Sessions on a mesh whose nodes are all in this process. */

import { openSessions, type Sessions, StoreUnavailableError } from '../../../../src/core/index.ts'
import { meshStore, type MeshStoreOptions } from '../../../../src/stores/mesh/index.ts'
import { oldSecret } from './transport-support.ts'

export interface Data {
  field: string
}

/** @param onView is told the addresses of each view */
export function openMesh(
  port: number | undefined,
  peers: MeshStoreOptions['peers'],
  more: Partial<MeshStoreOptions> = {},
  onView: (members: readonly string[]) => void = () => {},
): Sessions<Data> {
  const logger = {
    info({ members }: { members?: readonly string[] }): void {
      if (members) onView(members)
    },
    warn() {},
    error() {},
  }
  return openSessions<Data>(
    {
      store: meshStore({ listen: { host: '127.0.0.1', port: port ?? 0 }, peers, ...more }),
      secret: oldSecret,
      initial: () => ({ field: '' }),
    },
    { clock: { now: Date.now }, logger },
  )
}

/** How often a request is sent again that is answered 503, as the mesh does while its view changes. */
const TRIES_MAX = 10

async function untilServed<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof StoreUnavailableError) || tries === TRIES_MAX) throw error
    }
  }
}

/** One request that assigns the field; resolves the cookies to send with the next. */
export async function write(node: Sessions<Data>, field: string, cookie = ''): Promise<string> {
  const lines = await untilServed(async () => {
    const session = await node.open({ headers: { cookie } })
    session.data.field = field
    return node.commit(session)
  })
  const cookies = new Map(cookie.split('; ').map((pair) => [pair.split('=')[0], pair]))
  for (const [, line] of lines) {
    const [pair = ''] = line.split(';')
    cookies.set(pair.split('=')[0], pair)
  }
  return [...cookies.values()].filter((pair) => pair !== '').join('; ')
}

export function read(node: Sessions<Data>, cookie: string): Promise<string> {
  return untilServed(async () => (await node.open({ headers: { cookie } })).data.field)
}
