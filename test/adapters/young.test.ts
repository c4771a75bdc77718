import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { Pool } from 'undici'

const CONNECTIONS = 16
const REQUESTS = 24_000

for (const path of ['/read', '/write']) {
  test(`requests of ${path} die young: V8's young-generation collector finds few of them alive`, async () => {
    const application = fork(new URL('support/young-server.ts', import.meta.url), {
      execArgv: ['--trace-gc', '--trace-gc-nvp', '--max-semi-space-size=8'],
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    assert(application.stdout)
    const output = text(application.stdout)
    const exited = once(application, 'exit')
    try {
      const [port] = (await once(application, 'message')) as [number]
      await sendMany(port, path)
    } finally {
      application.disconnect()
      await exited
    }
    // Those of the second half, when V8 has decided which objects it allocates among the old ones.
    const collections = (await output).split('\n').filter((line) => line.includes(' gc=s '))
    const late = collections.slice(collections.length / 2)
    assert(late.length >= 5, `${late.length} collections`)
    const share = sum(late, 'promoted') / sum(late, 'allocated')
    assert(share < 0.1, `${(share * 100).toFixed(1)}% of what requests allocate became old`)
  })
}

async function sendMany(port: number, path: string): Promise<void> {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS })
  const cookies = await Promise.all(Array.from({ length: 50 }, () => login(pool)))
  let sent = 0
  const visitor = async (): Promise<void> => {
    while (sent < REQUESTS) {
      const cookie = cookies[sent++ % cookies.length] ?? ''
      const { statusCode, body } = await pool.request({ method: 'GET', path, headers: { cookie } })
      assert.equal(statusCode, 200)
      await body.dump()
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, visitor))
  await pool.close()
}

async function login(pool: Pool): Promise<string> {
  const { headers, body } = await pool.request({ method: 'GET', path: '/login' })
  await body.dump()
  const lines = [headers['set-cookie'] ?? []].flat()
  return lines.map((line) => line.slice(0, line.indexOf(';'))).join('; ')
}

/** Of one figure in all lines of `--trace-gc-nvp`. */
function sum(lines: readonly string[], name: string): number {
  return lines.reduce((bytes, line) => bytes + Number(new RegExp(` ${name}=(\\d+)`).exec(line)?.[1]), 0)
}
