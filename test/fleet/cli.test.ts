import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { run } from '../../src/cli/run.ts'
import { startNode } from '../support/processes.ts'

describe('the command line', () => {
  const refused: [args: string, told: RegExp][] = [
    ['', /a command is missing: sojourn demo/],
    ['serve', /there is no command serve/],
    ['demo --nodes 1', /--nodes is a whole number from 2 to 16, not 1$/m],
    ['demo --nodes 2.5', /--nodes is a whole number from 2 to 16, not 2\.5$/m],
    ['demo --nodes many', /--nodes is a whole number from 2 to 16, not many$/m],
    ['demo --nodes', /--nodes <count>.* value is missing/],
    ['demo --nodes 2 --nodes 3', /--nodes .* not 2 and 3$/m],
    ['demo --port 65536', /--port is a whole number from 0 to 65535, not 65536/],
    ['demo --store postgres', /--store is one of mesh, sqlite, redis, memory, not postgres/],
    ['demo --affinity random', /--affinity is one of owner, ip-hash, round-robin, not random/],
    ['demo --store sqlite --affinity owner', /--affinity owner goes only with --store mesh/],
    ['demo --data folder', /--data goes only with --store sqlite/],
    ['demo --redis-url redis://127.0.0.1', /--redis-url goes only with --store redis/],
    ['demo --store redis --redis-url http://:hidden@localhost', /--redis-url is not the URL of a Redis/],
    ['demo --store memory --data folder', /--data goes only with --store sqlite/],
    ['demo --frob', /Unknown option `--frob`/],
    ['demo now', /Unused args: `now`/],
  ]
  for (const [args, told] of refused) {
    test(`refuses "sojourn ${args}" with a clear line and exit code 1`, async () => {
      const { code, stdout, stderr } = await runWith(...args.split(' ').filter(Boolean))
      assert.equal(code, 1)
      assert.match(stderr, told)
      assert.doesNotMatch(stderr, /\n {4}at |hidden/)
      assert.equal(stdout, '')
    })
  }

  test('tells its options and its version', async () => {
    assert.match(await outputOf('--help'), /Commands:\n {2}demo /)
    const help = await outputOf('demo', '--help')
    for (const option of ['nodes', 'store', 'affinity', 'port', 'redis-url', 'data', 'once']) {
      assert.match(help, new RegExp(`--${option}\\b`))
    }
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
    assert.ok((await outputOf('--version')).includes(`sojourn/${version}`))
  })
})

async function runWith(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let [stdout, stderr] = ['', '']
  const code = await run({
    argv,
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    signal: new AbortController().signal,
  })
  return { code, stdout, stderr }
}

async function outputOf(...args: string[]): Promise<string> {
  await using program = startNode(new URL('../../src/cli/main.ts', import.meta.url), { args })
  const { exited } = program
  await program.printed(/(?:)/)
  assert.deepEqual(await exited, { code: 0, signal: null })
  return program.output
}
