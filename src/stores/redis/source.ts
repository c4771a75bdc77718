import { type Client, type RedisClientLike, toClient } from './client.ts'

/** A Redis Cluster, to which the store connects by itself with the package `redis`. */
export interface RedisClusterOptions {
  /**
   * URLs of some of its nodes, as {@link RedisStoreOptions.url} but without a database; the others are found through the
   * first that answers. User, password and `rediss:` hold for all nodes, and so are the same in each.
   */
  nodes: readonly string[]
}

/** A master that Sentinels watch, to which the store connects by itself with the package `redis`. */
export interface RedisSentinelOptions {
  /** The name by which the Sentinels know the master, such as `'mymaster'`. */
  name: string
  /** Some of the Sentinels, as `host:port`; the others are found through the first that answers. */
  nodes: readonly string[]
  /** User of the master and its replicas. Default: Redis's default user. */
  username?: string | undefined
  /** Password of the master and its replicas. Default: none. */
  password?: string | undefined
  /** Number of the database. Default: 0. */
  database?: number | undefined
  /** Connect by TLS to master and Sentinels. Default: `false`. */
  tls?: boolean | undefined
  /** User of the Sentinels. Default: their default user. */
  sentinelUsername?: string | undefined
  /** Password of the Sentinels, which have one of their own. Default: none. */
  sentinelPassword?: string | undefined
}

/** Where the connection comes from: a client that was given, or an address for one of our own. */
export type RedisSource =
  | { readonly client: Client }
  | { readonly url: string }
  | { readonly cluster: ClusterAddress }
  | { readonly sentinel: SentinelAddress }

/** {@link RedisClusterOptions}, checked. */
export interface ClusterAddress {
  readonly urls: readonly string[]
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: boolean
}

/** {@link RedisSentinelOptions}, checked. */
export interface SentinelAddress extends Omit<RedisSentinelOptions, 'nodes' | 'database' | 'tls'> {
  readonly nodes: readonly { readonly host: string; readonly port: number }[]
  readonly database: number
  readonly tls: boolean
}

/** The options of which one is given. */
export interface SourceOptions {
  client?: RedisClientLike | undefined
  url?: string | undefined
  cluster?: RedisClusterOptions | undefined
  sentinel?: RedisSentinelOptions | undefined
}

const EXAMPLES = {
  cluster: "cluster: { nodes: ['redis://host:port', …] }",
  sentinel: "sentinel: { name: 'mymaster', nodes: ['host:port', …] }",
}

/** @throws TypeError where none or several are given, or one is not as it should be */
export function toSource(options: SourceOptions): RedisSource {
  const { client, url, cluster, sentinel } = options
  const given = Object.values(options).filter((value) => value !== undefined)
  if (given.length === 0) {
    throw new TypeError(
      'redisStore needs either a client or a url (or cluster, or sentinel); a variable of the environment may be unset',
    )
  }
  if (given.length > 1) {
    throw new TypeError(
      'redisStore takes one of client, url, cluster and sentinel, and not both or more; leave out the others',
    )
  }
  if (client !== undefined) return { client: toClient(client) }
  if (cluster !== undefined) return { cluster: toClusterAddress(cluster) }
  if (sentinel !== undefined) return { sentinel: toSentinelAddress(sentinel) }
  return { url: checkUrl(url) }
}

/** @throws TypeError for what is not the URL of a Redis; its text, which may hold a password, is not told */
function checkUrl(url: unknown, what = 'url'): string {
  if (typeof url === 'string' && URL.canParse(url) && ['redis:', 'rediss:'].includes(new URL(url).protocol)) return url
  throw new TypeError(
    `${what} is not the URL of a Redis server; give redis://user:password@host:port/database, or rediss: for TLS`,
  )
}

function toClusterAddress(options: RedisClusterOptions): ClusterAddress {
  const { nodes } = checkFields('cluster', options, ['nodes'])
  if (!Array.isArray(nodes) || nodes.length === 0)
    throw new TypeError(`cluster names no node; give ${EXAMPLES.cluster}`)
  const urls = nodes.map((node) => checkUrl(node, 'a node of cluster'))
  const [first, ...others] = urls.map((url) => new URL(url))
  const same = (other: URL): boolean =>
    (['protocol', 'username', 'password'] as const).every((part) => other[part] === first?.[part])
  if (!first || !others.every(same)) {
    throw new TypeError('the nodes of cluster differ in user, password or TLS; a Cluster has the same on all its nodes')
  }
  if (urls.some((url) => /\d/.test(new URL(url).pathname.replace(/^\/0?$/, '')))) {
    throw new TypeError('a node of cluster names a database; a Cluster has but the database 0, so leave it out')
  }
  return {
    urls,
    username: first.username === '' ? undefined : decodeURIComponent(first.username),
    password: first.password === '' ? undefined : decodeURIComponent(first.password),
    tls: first.protocol === 'rediss:',
  }
}

function toSentinelAddress(options: RedisSentinelOptions): SentinelAddress {
  const texts = ['username', 'password', 'sentinelUsername', 'sentinelPassword'] as const
  const {
    name,
    nodes,
    database = 0,
    tls = false,
    ...rest
  } = checkFields('sentinel', options, ['name', 'nodes', 'database', 'tls', ...texts])
  if (typeof name !== 'string' || name === '')
    throw new TypeError(`sentinel needs the master's name: ${EXAMPLES.sentinel}`)
  if (!Array.isArray(nodes) || nodes.length === 0)
    throw new TypeError(`sentinel names no node; give ${EXAMPLES.sentinel}`)
  if (!Number.isSafeInteger(database) || database < 0) throw new TypeError('database of sentinel is a number from 0')
  if (typeof tls !== 'boolean') throw new TypeError('tls of sentinel is true or false')
  for (const text of texts) {
    if (rest[text] !== undefined && typeof rest[text] !== 'string') throw new TypeError(`${text} of sentinel is text`)
  }
  return { ...rest, name, nodes: nodes.map(toHostAndPort), database, tls }
}

function toHostAndPort(node: unknown): { host: string; port: number } {
  const [, host = '', port] = /^(\[[^\]]+\]|[^:/@\s]+):(\d{1,5})$/.exec(String(node)) ?? []
  if (port === undefined || Number(port) === 0 || Number(port) > 65_535) {
    throw new TypeError(`a node of sentinel is not the address of a Sentinel; give ${EXAMPLES.sentinel}`)
  }
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}

function checkFields<T extends object>(name: keyof typeof EXAMPLES, options: T, known: readonly string[]): T {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${name} is an object: ${EXAMPLES[name]}`)
  const unknown = Object.keys(options).find((field) => !known.includes(field))
  if (unknown === undefined) return options
  throw new TypeError(`${name} has no option ${JSON.stringify(unknown)}; its options are ${known.join(', ')}`)
}
