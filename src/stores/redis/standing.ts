import type { Connection } from './connections.ts'

/**
 * What a server of a Cluster is in charge of, as it sees it: its role, its slots, and those that are on their way to or
 * from it. While that is the same, whoever changes a session does it on the server over which it was read, which tells of
 * it. A slot that is taken from it with nothing in it, or by another server that takes its place, is not told of.
 *
 * @throws where it serves nothing now, since it cannot see most of the others
 */
export async function standingOf(connection: Connection): Promise<string> {
  const [info, nodes] = await Promise.all([
    connection.sendCommand(['CLUSTER', 'INFO']),
    connection.sendCommand(['CLUSTER', 'NODES']),
  ])
  if (!/^cluster_state:ok/m.test(String(info))) throw new Error('CLUSTERDOWN it serves nothing now')
  const lines = String(nodes).split('\n')
  const [id, , flags, , , , , , ...slots] = lines.find((line) => /^\S+ \S+ \S*\bmyself\b/.test(line))?.split(' ') ?? []
  if (id === undefined) throw new Error('CLUSTER NODES does not tell which it is')
  return [id, flags, ...slots].join(' ')
}
