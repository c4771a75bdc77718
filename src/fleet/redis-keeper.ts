/**
 * A program that keeps a redis-server of the fleet's own. By itself redis-server would outlive a parent that was killed.
 */

import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { runProgram } from './program.ts'

/** What the keeper is told. */
export interface RedisKeeperSettings {
  /** Where redis-server runs. */
  readonly folder: string
  readonly password: string
}

const INSTALL =
  'there is no redis-server on this machine; install it (apt-get install redis-server), or give the URL of a Redis: --redis-url redis://…'

await runProgram<RedisKeeperSettings>(async ({ port, settings: { folder, password } }) => {
  // The configuration goes by standard input, since every user of the machine can read argv.
  const server = spawn('redis-server', ['-'], { cwd: folder, stdio: ['pipe', 'pipe', 'inherit'] })
  process.once('exit', () => server.kill('SIGKILL'))
  let isStopping = false
  const gone = new Promise<string>((resolve) => {
    server.once('error', (error) => resolve('code' in error && error.code === 'ENOENT' ? INSTALL : error.message))
    server.once('exit', (code, signal) => resolve(`redis-server ended (${signal ?? `exit code ${code}`})`))
  })
  server.stdin.on('error', () => {}) // told by `gone`
  server.stdin.end(`port ${port}\nbind 127.0.0.1\nrequirepass ${password}\nsave ""\nappendonly no\n`)
  await Promise.race([
    listening(server.stdout),
    gone.then((reason) => {
      throw new Error(reason)
    }),
  ])
  void gone.then((reason) => {
    if (isStopping) return
    console.error(reason)
    process.exit(1)
  })
  return {
    port,
    async stop() {
      isStopping = true
      server.kill()
      await gone
    },
    abandon() {
      isStopping = true
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    },
  }
})

function listening(stdout: Readable): Promise<void> {
  let log = ''
  return new Promise((resolve, reject) => {
    stdout.setEncoding('utf8').on('data', (text: string) => {
      log = `${log}${text}`.slice(-4_000)
      if (/Ready to accept connections/.test(log)) resolve()
      else if (/Address already in use/.test(log)) reject(new Error('Address already in use'))
    })
  })
}
