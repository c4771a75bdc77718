import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** What the compiler says of a program that stands in a folder of its own, since it declares types for all its files. */
async function compile(folder: string): Promise<string> {
  const compiler = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url))
  const project = fileURLToPath(new URL(`clash/${folder}`, import.meta.url))
  const result = promisify(execFile)(compiler, ['-p', project]).catch((error: { stdout: string }) => error)
  return (await result).stdout
}

describe('types of req.session', () => {
  for (const folder of ['register-express', 'register-compat', 'register-fastify']) {
    test(`${folder}: what the application registers is its type`, async () => {
      assert.equal(await compile(folder), '')
    })
  }

  test('express-session: its types and ours stand in one program, through sessions.of', async () => {
    assert.equal(await compile('express-session'), '')
  })

  test('express-session: its types go on where sojourn/express/compat took its place, with Passport and connect-flash', async () => {
    assert.equal(await compile('express-session-compat'), '')
  })

  test('both-types: the entry with our req.session does not stand beside express-session', async () => {
    assert.match(await compile('both-types'), /express-types\.ts.* error TS2717: .*'session' must be of type/)
  })
})
