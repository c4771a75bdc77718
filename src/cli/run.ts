import { readFileSync } from 'node:fs'
import { cac, type CAC } from 'cac'
import { FLEET_AFFINITIES, type FleetAffinity } from '../fleet/fleet.ts'
import { FLEET_STORES, type FleetStoreName } from '../fleet/stores.ts'
import { type DemoOptions, runDemo } from './demo.ts'
import { checkKeys, HOW_TO_GIVE_SECRETS, makeKey } from './keys.ts'
import { oneOf, only, UsageError, wholeNumber } from './options.ts'

/** Where a program of the command line reads and writes. */
export interface Surroundings {
  /** What stands behind the program's name. */
  readonly argv: readonly string[]
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { write(text: string): unknown }
  /** What is piped in. Default: nothing. */
  readonly stdin?: AsyncIterable<unknown> & { readonly isTTY?: boolean }
  /** Default: no variables. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Aborted when the program is to end, as by Ctrl-C. */
  readonly signal: AbortSignal
}

/** Runs `sojourn`; resolves the exit code. Help and version are printed to the console. */
export async function run(surroundings: Surroundings): Promise<number> {
  const { argv, stderr } = surroundings
  try {
    const cli = createCli(surroundings)
    const { options } = cli.parse(['node', 'sojourn', ...argv], { run: false })
    if (options['help'] || options['version']) return 0
    if (!cli.matchedCommand) {
      const [command] = cli.args
      throw new UsageError(
        command === undefined
          ? 'a command is missing: sojourn demo, sojourn keys new, sojourn keys check'
          : `there is no command ${command}`,
      )
    }
    return await cli.runMatchedCommand()
  } catch (error) {
    if (!isUsageError(error)) throw error
    stderr.write(`sojourn: ${error.message}\nsojourn --help tells what there is.\n`)
    return 1
  }
}

function createCli(surroundings: Surroundings): CAC {
  const cli = cac('sojourn')
  cli
    .command('demo', 'Start a fleet of nodes that share sessions, visit it, and serve its page')
    .option('--nodes <count>', 'How many nodes, 2 to 16', { default: 3 })
    .option('--store <name>', `Where the sessions live: ${FLEET_STORES.join(', ')}`, { default: 'mesh' })
    .option(
      '--affinity <name>',
      `How the gateway chooses a node: ${FLEET_AFFINITIES.join(', ')} (default: owner on the mesh, else ip-hash)`,
    )
    .option('--port <port>', 'Port of the gateway; the next free one where it is taken', { default: 8080 })
    .option('--redis-url <url>', 'With --store redis: a Redis that is there already')
    .option('--data <folder>', 'With --store sqlite: keep the file in this folder')
    .option('--once', 'End after the visit; exit code 0, or 1 where a step failed')
    .action((options: Record<string, unknown>) => runDemo(toDemoOptions(options), surroundings))
  cli
    .command(
      'keys <new|check> [...none]',
      'Make a secret; or check those on standard input or, where nothing is piped, in SESSION_SECRET',
    )
    .action((action: unknown, rest: readonly unknown[]) => {
      const chosen = oneOf('sojourn keys', action, ['new', 'check'])
      // Without its text, which is a secret, most likely.
      if (rest.length > 0) throw new UsageError(`keys ${chosen} takes nothing more; ${HOW_TO_GIVE_SECRETS}`)
      return chosen === 'new' ? makeKey(surroundings) : checkKeys(surroundings)
    })
  cli.help()
  cli.version(version())
  return cli
}

function toDemoOptions(options: Record<string, unknown>): DemoOptions {
  const store = oneOf('--store', options['store'], FLEET_STORES)
  const redisUrl = only('--redis-url', options['redisUrl'], store === 'redis' ? undefined : '--store redis')
  if (redisUrl !== undefined && !isRedisUrl(redisUrl)) {
    // Without its text, which may hold a password.
    throw new UsageError('--redis-url is not the URL of a Redis: redis://user:password@host:port/database')
  }
  return {
    store,
    affinity: toAffinity(store, options['affinity']),
    nodes: wholeNumber('--nodes', options['nodes'], 2, 16),
    port: wholeNumber('--port', options['port'], 0, 65_535),
    redisUrl,
    folder: only('--data', options['data'], store === 'sqlite' ? undefined : '--store sqlite'),
    once: options['once'] === true,
  }
}

function toAffinity(store: FleetStoreName, value: unknown): FleetAffinity {
  if (value === undefined) return store === 'mesh' ? 'owner' : 'ip-hash'
  const affinity = oneOf('--affinity', value, FLEET_AFFINITIES)
  if (affinity !== 'owner' || store === 'mesh') return affinity
  throw new UsageError('--affinity owner goes only with --store mesh, where sessions have owners')
}

function isRedisUrl(text: string): boolean {
  return ['redis:', 'rediss:'].includes(URL.parse(text)?.protocol ?? '')
}

/** cac's own complaints, of an unknown option or a missing value, have a class that it does not export. */
function isUsageError(error: unknown): error is Error {
  return error instanceof UsageError || (error instanceof Error && error.name === 'CACError')
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
