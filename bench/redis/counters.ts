/** Redis's own counters, for each request. */

/** What is used of a client. */
export interface Admin {
  configResetStat(): Promise<unknown>
  info(section: string): Promise<string>
}

export interface Counters {
  /** Calls by command, those within scripts included. */
  readonly commands: ReadonlyMap<string, number>
  readonly bytesIn: number
  readonly bytesOut: number
}

/** Commands that only scripts call here; the rest is what the client sent. */
export const INNER: ReadonlySet<string> = new Set([
  'hmget', 'hset', 'exists', 'hdel', 'del', 'hget', 'hlen', 'type', 'time', 'pexpire', 'pexpireat', 'persist', 'publish',
  'zadd', 'zrem', 'zcard', 'zcount', 'zrange', 'zrangebyscore', 'zremrangebyscore', 'zscore', 'incr',
]) // prettier-ignore

const OURS = ['info', 'config|resetstat', 'config']

/** Since the counters were reset. */
export async function countersOf(admin: Admin, requests: number): Promise<Counters> {
  const commands = new Map<string, number>()
  for (const [, name, calls] of (await admin.info('commandstats')).matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
    if (name && !OURS.includes(name)) commands.set(name, Number(calls) / requests)
  }
  const stats = await admin.info('stats')
  const bytes = (name: string): number => Number(new RegExp(`${name}:(\\d+)`).exec(stats)?.[1]) / requests
  return { commands, bytesIn: bytes('total_net_input_bytes'), bytesOut: bytes('total_net_output_bytes') }
}

export function toText(commands: readonly (readonly [string, number])[]): string {
  return commands.map(([name, calls]) => `${name} ${calls.toFixed(2)}`).join(', ') || '0'
}
