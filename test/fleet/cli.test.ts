import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { run, type Surroundings } from '../../src/cli/run.ts'
import { createKeyRing } from '../../src/token/index.ts'
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
    ['demo --store postgres', /--store is one of mesh, sqlite, redis, cookie, memory, not postgres/],
    ['demo --affinity random', /--affinity is one of owner, ip-hash, round-robin, not random/],
    ['demo --store sqlite --affinity owner', /--affinity owner goes only with --store mesh/],
    ['demo --data folder', /--data goes only with --store sqlite/],
    ['demo --redis-url redis://127.0.0.1', /--redis-url goes only with --store redis/],
    ['demo --store redis --redis-url http://:hidden@localhost', /--redis-url is not the URL of a Redis/],
    ['demo --store memory --data folder', /--data goes only with --store sqlite/],
    ['demo --frob', /Unknown option `--frob`/],
    ['demo now', /Unused args: `now`/],
    ['keys', /missing required args for command `keys/],
    ['keys make', /sojourn keys is one of new, check, not make/],
    ['keys check hidden', /keys check takes nothing more; give the secrets on standard input/],
    ['keys check', /no secret was given; give the secrets on standard input/],
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

  test('keys new prints a secret that keys check and createSessions take, another one each time', async () => {
    const made = await Promise.all([runWith('keys', 'new'), runWith('keys', 'new')])
    assert.notEqual(made[0]?.stdout, made[1]?.stdout)
    const { code, stdout } = await checked(made.map((each) => each.stdout).join(''))
    assert.equal(code, 0)
    const [first, second] = made.map((each) =>
      createKeyRing(each.stdout.trim()).signing.id.toString(16).padStart(2, '0'),
    )
    assert.equal(stdout, `secret 1: good, key id ${first}, signs and opens\nsecret 2: good, key id ${second}, opens\n`)
  })

  const weak: [what: string, secret: string, told: RegExp][] = [
    ['of 31 bytes', randomBytes(31).toString('base64'), /31 bytes, at least 32/],
    ['of 31 bytes in hex', randomBytes(31).toString('hex'), /31 bytes, at least 32/],
    [
      'of 15 different bytes',
      Buffer.from([...Array(45).keys()].map((n) => n % 15)).toString('hex'),
      /15 different bytes/,
    ],
    ['that is a sentence', 'correct-horse.battery-staple!correct-horse', /neither base64 nor hex/],
    ['of the README', secretsInReadme()[0] ?? '', /stands in the README/],
  ]
  for (const [what, secret, told] of weak) {
    test(`keys check refuses a secret ${what}, with the reason and without the secret`, async () => {
      const { code, stdout, stderr } = await checked(secret)
      assert.equal(code, 1)
      assert.match(stdout, /^secret 1: refused: /)
      assert.match(stdout, told)
      assert(!`${stdout}${stderr}`.includes(secret))
    })
  }

  test('keys check reads SESSION_SECRET where nothing is piped, and commas or lines between secrets', async () => {
    const secrets = [randomBytes(32).toString('hex'), randomBytes(32).toString('base64')]
    for (const between of [',', '\n', ' , ']) {
      const { code, stdout } = await checked('', { SESSION_SECRET: secrets.join(between) })
      assert.equal(code, 0)
      assert.equal(stdout.split('\n').length, 3)
    }
    const twice = await checked('', { SESSION_SECRET: `${secrets[0]},${secrets[0]}` })
    assert.deepEqual([twice.code, /secret 2: refused: it is there twice/.test(twice.stdout)], [1, true])
  })

  test('keys check ends a long input with a clear line', async () => {
    const { code, stderr } = await checked('x'.repeat(100_000))
    assert.equal(code, 1)
    assert.match(stderr, /the input is too long/)
  })

  test('createSessions refuses every secret that the README shows', () => {
    assert(secretsInReadme().length > 0)
    for (const secret of secretsInReadme()) {
      assert.throws(() => createKeyRing(secret), { name: 'TypeError', message: /README/ })
    }
  })

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

/** Texts in the README that could be secrets. */
function secretsInReadme(): string[] {
  const text = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const texts = text.match(/(?<![\w/+=-])[\w/+-]{43,}={0,2}(?![\w/+=-])/g) ?? []
  return texts.filter((each) => /\d/.test(each) && /[A-Z]/.test(each) && !each.includes('/'))
}

async function checked(
  piped: string,
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  return runIn({ argv: ['keys', 'check'], stdin: Readable.from(piped === '' ? [] : [piped]), env })
}

async function runWith(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return runIn({ argv })
}

async function runIn(
  asked: Pick<Surroundings, 'argv' | 'stdin' | 'env'>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  let [stdout, stderr] = ['', '']
  const code = await run({
    ...asked,
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
