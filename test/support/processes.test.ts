import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { removeFolder, temporaryFolder } from './folders.ts'
import { portOf } from './ports.ts'
import { findCommand } from './programs.ts'
import { startNode } from './processes.ts'
import type { NodeProcess } from './processes.ts'

describe('a Node process of the test', () => {
  test('runs TypeScript, with messages both ways in order', async () => {
    await using child = start(`
      process.send?.({ first: process.argv[2], environment: process.env['PLACE'] })
      process.on('message', (message: unknown) => process.send?.({ echo: message }))`)
    assert.deepEqual(await child.receive(), { first: 'argument', environment: 'here' })
    await child.send({ number: 1n })
    await child.send({ number: 2n })
    assert.deepEqual(await child.receive(), { echo: { number: 1n } })
    assert.deepEqual(await child.receive(), { echo: { number: 2n } })
  })

  test('is gone when its kill has resolved', async () => {
    const child = start(`setInterval(() => {}, 1000); console.log('ready')`)
    await child.printed(/^ready$/m)
    assert.deepEqual(await child.kill(), { code: null, signal: 'SIGKILL' })
    assert.throws(() => process.kill(child.pid, 0), { code: 'ESRCH' })
    assert.deepEqual(await child.kill('SIGTERM'), { code: null, signal: 'SIGKILL' })
  })

  test('that ends early rejects what waits for it, with what it printed', async () => {
    const child = start(`console.error('no place to start'); process.exitCode = 3`)
    await assert.rejects(child.receive(), /no place to start/)
    await assert.rejects(child.printed(/ready/), /no place to start/)
    assert.deepEqual(await child.exited, { code: 3, signal: null })
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const skip = signal === 'SIGKILL' && findCommand('setpriv') === undefined ? 'needs setpriv (util-linux)' : false
    test(`ends with the test process that started it, when ${signal} ends that`, { skip }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const parent = start(`
        import { writeFileSync } from 'node:fs'
        import { startNode } from '${new URL('processes.ts', import.meta.url).href}'
        import { temporaryFolder } from '${new URL('folders.ts', import.meta.url).href}'
        const folder = temporaryFolder()
        const code = "import { connect } from 'node:net'; connect(${portOf(server)}, '127.0.0.1')"
        writeFileSync(folder + '/child.mts', code)
        startNode(folder + '/child.mts')
        process.send?.(folder)`)
      const folder = String(await parent.receive())
      const [connection]: Socket[] = await once(server, 'connection')
      assert.ok(connection)
      connection.resume().on('error', () => undefined)
      const closed = once(connection, 'close')
      await parent.kill(signal)
      await closed
      assert.equal(existsSync(folder), signal === 'SIGKILL')
      removeFolder(folder)
      server.close()
    })
  }
})

function start(code: string): NodeProcess {
  const folder = temporaryFolder()
  const file = join(folder, 'program.ts')
  writeFileSync(file, `export {}\n${code}`)
  return startNode(pathToFileURL(file), { args: ['argument'], env: { PLACE: 'here' } })
}
