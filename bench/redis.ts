/**
 * Sojourn on Redis. `--only PART,...` measures some parts alone: `requests` (beside Express alone and express-session with
 * connect-redis), `long-read` (`--minutes N`, default 5), `ends`, `copies`, `users`.
 */
import { parseArgs } from 'node:util'
import type { BenchOptions } from './main.ts'
import { run as copies } from './redis/copies.ts'
import { run as ends } from './redis/ends.ts'
import { run as longRead } from './redis/long-read.ts'
import { run as requests } from './redis/requests.ts'
import { run as users } from './redis/users.ts'

const PARTS: Readonly<Record<string, (options: BenchOptions) => Promise<void>>> = {
  requests,
  'long-read': longRead,
  ends,
  copies,
  users,
}

export async function run(options: BenchOptions): Promise<void> {
  const { values } = parseArgs({ allowPositionals: true, strict: false, options: { only: { type: 'string' } } })
  const only = typeof values.only === 'string' ? values.only.split(',') : Object.keys(PARTS)
  for (const name of only) {
    const part = PARTS[name]
    if (!part) throw new Error(`no part ${name}; --only takes ${Object.keys(PARTS).join()}`)
    await part(options)
  }
}
