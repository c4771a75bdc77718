/** Sessions on a mesh whose nodes are all in this process. */

import { openSessions, type Sessions } from '../../../../src/core/index.ts'
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

/** One request that assigns the field; resolves the cookies to send with the next. */
export async function write(node: Sessions<Data>, field: string, cookie = ''): Promise<string> {
  const session = await node.open({ headers: { cookie } })
  session.data.field = field
  const cookies = new Map(cookie.split('; ').map((pair) => [pair.split('=')[0], pair]))
  for (const [, line] of await node.commit(session)) {
    const [pair = ''] = line.split(';')
    cookies.set(pair.split('=')[0], pair)
  }
  return [...cookies.values()].filter((pair) => pair !== '').join('; ')
}

export async function read(node: Sessions<Data>, cookie: string): Promise<string> {
  return (await node.open({ headers: { cookie } })).data.field
}
