import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { WebSocket } from 'ws'
import { createVisitor, type Visitor } from '../support/jar.ts'
import { needs } from '../support/programs.ts'
import { startRedis } from '../support/redis.ts'
import { type InstalledPackage, installPackage } from './installed.ts'

const root = join(import.meta.dirname, '../..')
const SESSION_SECRET = 'Zq8vT3nLx0RkWf7dYb2mHs6jPc9gAe4u'
let installed: InstalledPackage

before(async () => {
  installed = await installPackage()
  await cp(join(root, 'examples'), join(installed.app, 'examples'), { recursive: true })
  await writeFile(join(installed.app, 'package.json'), '{ "type": "module" }')
})
after(() => installed[Symbol.asyncDispose]())

/** Starts a server file of the application on a free port, and resolves its address once it has printed it. */
async function serve(
  file: string,
  name: string,
  more: Readonly<Record<string, string>> = {},
): Promise<{ url: string; stop(): Promise<{ code: number | null; output: string }> }> {
  const env = {
    ...process.env,
    SESSION_SECRET,
    PORT: '0',
    SESSION_DB: join(installed.app, `${name}.db`),
    REDIS_URL: '',
    ...more,
  }
  const child = spawn(process.execPath, [file], { cwd: installed.app, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stderr.on('data', (chunk) => void (output += String(chunk)))
  const port = await new Promise<string>((resolve, reject) => {
    child.once('exit', () => reject(new Error(`${file} ended: ${output}`)))
    createInterface(child.stdout).on('line', (line) => {
      output += `${line}\n`
      const found = /127\.0\.0\.1:(\d+)|port: (\d+)/.exec(output)
      if (found) resolve(found[1] ?? found[2] ?? '')
    })
  })
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
      return { code: child.exitCode, output }
    },
  }
}

async function json(visitor: Visitor, url: string): Promise<{ user: string | null; views: number }> {
  const response = await visitor.fetch(`${url}/`)
  return (await response.json()) as { user: string | null; views: number }
}

for (const name of ['express', 'fastify']) {
  test(`examples/${name}.ts logs in, keeps a session over a restart on sqlite, and stops in order`, async () => {
    const visitor = createVisitor()
    const first = await serve(join('examples', `${name}.ts`), name)
    const login = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user: 'ada' }),
    }
    assert.equal((await visitor.fetch(`${first.url}/login`, login)).status, 303)
    assert.equal((await json(visitor, first.url)).views, 1)
    const stopped = await first.stop()
    assert.equal(stopped.code, 0)
    assert.match(stopped.output, /stopped/)

    const second = await serve(join('examples', `${name}.ts`), name)
    const { user, views } = await json(visitor, second.url)
    assert.deepEqual({ user, views }, { user: 'ada', views: 2 })
    assert.equal((await visitor.fetch(`${second.url}/logout`, { method: 'POST' })).status, 303)
    assert.equal((await json(visitor, second.url)).user, null)
    assert.equal((await second.stop()).code, 0)
  })
}

test('examples/websockets.ts answers who is logged in, closes his socket at logout, and stops in order', async () => {
  const visitor = createVisitor()
  const server = await serve(join('examples', 'websockets.ts'), 'websockets')
  const address = `${server.url.replace('http', 'ws')}/live`
  const open = async (): Promise<WebSocket> => {
    const headers = { cookie: (await visitor.cookies()).map((cookie) => cookie.cookieString()).join('; ') }
    const socket = new WebSocket(address, { headers, origin: server.url })
    await once(socket, 'open')
    return socket
  }
  await assert.rejects(open(), /401/)
  const login = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"user":"ada"}' }
  await visitor.fetch(`${server.url}/login`, login)
  const socket = await open()
  socket.send('look')
  const [answer] = (await once(socket, 'message')) as [Buffer]
  assert.deepEqual(JSON.parse(answer.toString()), { user: 'ada', views: 1 })
  const closed = once(socket, 'close')
  await visitor.fetch(`${server.url}/logout`, { method: 'POST' })
  const [code, reason] = (await closed) as [number, Buffer]
  assert.deepEqual([code, reason.toString()], [4401, 'logout'])

  await visitor.fetch(`${server.url}/login`, login)
  const last = once(await open(), 'close')
  const stopped = await server.stop()
  assert.equal((await last)[0], 1001)
  assert.equal(stopped.code, 0, stopped.output)
})

test("examples/express-app.test.ts, an application's own tests, pass against the packed package", () => {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const run = spawnSync(process.execPath, ['--test', 'examples/express-app.test.ts'], {
    cwd: installed.app,
    env,
    encoding: 'utf8',
  })
  assert.equal(run.status, 0, run.stdout + run.stderr)
  assert.match(run.stdout, /pass 2/)
})

test("the README's complete server runs as it stands", async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const code = /```ts\n(\/\/ server\.ts\n[\s\S]*?)```/.exec(readme)?.[1]
  assert.ok(code, 'the README has no block that begins with // server.ts')
  assert.ok(code.trim().split('\n').length <= 26, 'the server has at most 25 lines')
  await writeFile(join(installed.app, 'server.ts'), code)
  const server = await serve('server.ts', 'readme')
  const visitor = createVisitor()
  assert.equal((await visitor.fetch(`${server.url}/login`, { method: 'POST' })).status, 302)
  assert.equal((await json(visitor, server.url)).views, 1)
  assert.equal((await visitor.fetch(`${server.url}/logout`, { method: 'POST' })).status, 302)
  await server.stop()
})

test("every program of the README type-checks against the package's types", async () => {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const programs = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code = '']) => code)
  assert.ok(programs.length >= 5)
  const folder = join(installed.app, 'readme')
  await mkdir(folder)
  await Promise.all(programs.map((code, n) => writeFile(join(folder, `program-${n}.ts`), code)))
  assert.equal(typesOf(folder, await readdir(folder)), '')
})

test('docs/migrating.md: the programs from before and after serve one visitor in turn, and type-check', async (context) => {
  const text = await readFile(join(root, 'docs/migrating.md'), 'utf8')
  const programs = [...text.matchAll(/```ts\n(\/\/ (\S+)\n[\s\S]*?)```/g)]
  const folder = join(installed.app, 'migrating')
  for (const name of ['before', 'after']) await mkdir(join(folder, name), { recursive: true })
  await Promise.all(programs.map(([, code = '', name = '']) => writeFile(join(folder, name), code)))
  const names = programs.map(([, , name = '']) => name)
  // The types of express-session and of @fastify/session do not stand in one program with each other.
  assert.deepEqual(names.toSorted(), ['after/compat.ts', 'after/express.ts', 'after/fastify.ts', 'before/express.ts', 'before/fastify.ts']) // prettier-ignore
  for (const name of names) assert.equal(typesOf(folder, [name]), '')
  // A block without a name stands in the application that the text is about.
  const [[, parts = ''] = [], ...others] = text.matchAll(/```ts\n((?!\/\/ )[\s\S]*?)```/g)
  assert.equal(others.length, 0)
  await writeFile(
    join(folder, 'parts.ts'),
    `${parts}\nexport const viewsOf = ({ session }: Express.Request): number => session.views\n`,
  )
  assert.equal(typesOf(folder, ['parts.ts', 'after/compat.ts']), '')
  if (needs('redis-server')) return context.skip(String(needs('redis-server')))

  await using redis = await startRedis()
  const env = { REDIS_URL: redis.url, OLD_SECRET: 'keyboard cat keyboard cat keyboard cat' }
  const [before, after] = await Promise.all([
    serve('migrating/before/express.ts', 'before', env),
    serve('migrating/after/express.ts', 'after', env),
  ])
  const visitor = createVisitor()
  const ask = async (server: { url: string }, path?: string): Promise<unknown> => {
    if (path !== undefined) await visitor.fetch(server.url + path, { method: 'POST' })
    return (await visitor.fetch(`${server.url}/`)).json()
  }
  assert.deepEqual(await ask(before, '/cart/tea'), { user: null, cart: ['tea'] })
  assert.deepEqual(await ask(after, '/login/ada'), { user: 'ada', cart: ['tea'] })
  assert.deepEqual(await ask(before, '/cart/milk'), { user: 'ada', cart: ['tea', 'milk'] })
  assert.deepEqual(await ask(after, '/cart/honey'), { user: 'ada', cart: ['tea', 'milk', 'honey'] })
  assert.deepEqual(await ask(before), { user: 'ada', cart: ['tea', 'milk', 'honey'] })
  assert.deepEqual(await ask(before, '/logout'), { user: null, cart: [] })
  assert.deepEqual(await ask(after), { user: null, cart: [] })
  await Promise.all([before.stop(), after.stop()])
})

/** What the compiler says of programs against the types of the package. */
function typesOf(folder: string, files: readonly string[]): string {
  const compilerOptions = { module: 'nodenext', strict: true, noEmit: true, skipLibCheck: true, types: ['node'] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  const run = spawnSync(join(root, 'node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' })
  return run.stdout
}
