/** `examples/mesh.ts` as its manifests start it: the packed package, three processes on loopback addresses, nginx before them. */
import assert from 'node:assert/strict'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createVisitor, type Visitor } from '../support/jar.ts'
import { startNginx } from '../support/nginx.ts'
import { freePorts } from '../support/ports.ts'
import { type NodeProcess, startNode } from '../support/processes.ts'
import { needs } from '../support/programs.ts'
import { type InstalledPackage, installPackage } from './installed.ts'
import { environmentOf, readCompose, readKubernetes, root } from './manifests.ts'

const SECRETS = 'Zq8vT3nLx0RkWf7dYb2mHs6jPc9gAe4u\nRk2mHs6jPc9gAe4uWf7dYbZq8vT3nLx0\n'
const HOSTS = ['127.0.0.2', '127.0.0.3', '127.0.0.4']

interface Pod {
  readonly name: string
  readonly url: string
  process: NodeProcess
  start(): Promise<void>
}

const skip = process.platform !== 'linux' && 'needs 127.0.0.2, which other systems have to be given'

describe('examples/mesh.ts', { skip }, () => {
  let installed: InstalledPackage
  before(async () => {
    installed = await installPackage()
    await cp(join(root, 'examples'), join(installed.app, 'examples'), { recursive: true })
    await writeFile(join(installed.app, 'package.json'), '{ "type": "module" }')
    await writeFile(join(installed.app, 'secrets'), SECRETS)
  })
  after(() => installed[Symbol.asyncDispose]())

  test("with the environment of kubernetes/shop.yaml: a session outlives every pod's update and one's SIGKILL", async (t) => {
    const [container] = readKubernetes()('StatefulSet', 'shop').spec.template.spec.containers
    const names = HOSTS.map((_, index) => `shop-${index}`)
    const environments = names.map((name) => environmentOf(container, name))
    const pods = await startPods(t, installed.app, names, environments)
    const visitor = createVisitor()
    const [first, second, third] = pods as [Pod, Pod, Pod]
    await logIn(visitor, first.url)
    for (const { url } of pods) assert.equal((await fetch(new URL('/healthz', url))).status, 200)
    for (const { url } of pods) assert.equal((await shopOf(visitor, url)).user, 'ada')

    for (const pod of pods) {
      assert.deepEqual(await pod.process.kill('SIGTERM'), { code: 0, signal: null }, pod.process.output)
      assert.match(pod.process.output, /^stopped$/m)
      await pod.start()
    }
    assert.deepEqual(await shopOf(visitor, second.url), { user: 'ada', views: 4 })
    await first.process.kill('SIGKILL')
    assert.deepEqual(await shopOf(visitor, third.url), { user: 'ada', views: 5 })
  })

  test(
    'with the environment of compose.yaml, behind nginx with nginx.conf: a session outlives the SIGKILL of each node in turn',
    { skip: needs('nginx') },
    async (t) => {
      const { nginx: _, ...services } = readCompose().services
      const names = Object.keys(services)
      const environments = Object.values(services).map(({ environment }) => environment)
      const pods = await startPods(t, installed.app, names, environments)
      const configuration = await readFile(join(root, 'examples/nginx.conf'), 'utf8')
      await using nginx = await startNginx({
        http: ({ ports: [port] }) =>
          pods
            .reduce((text, { name, url }) => text.replace(`${name}:3000`, new URL(url).host), configuration)
            .replace('listen 8080', `listen 127.0.0.1:${port}`),
      })
      const visitor = createVisitor()
      await logIn(visitor, nginx.url)
      let views = 0
      for (const pod of pods) {
        await pod.process.kill('SIGKILL')
        for (let index = 0; index < 6; index += 1) {
          assert.deepEqual(await shopOf(visitor, nginx.url), { user: 'ada', views: (views += 1) })
        }
        await pod.start()
        assert.deepEqual(await shopOf(visitor, pod.url), { user: 'ada', views: (views += 1) })
      }
    },
  )

  test('without a secret it says what to do, and does not start', async () => {
    const env = { MESH_PEERS: '127.0.0.2:7373', MESH_NAME: '127.0.0.2', SESSION_SECRET: '' }
    await using server = startNode(join(installed.app, 'examples/mesh.ts'), { env })
    const { code } = await server.exited
    await server.printed(/secret is missing \(is the environment variable set\?\)/)
    assert.equal(code, 1)
  })
})

/** Each on an address of its own, on ports that are free; everything else is as the manifests have it. */
async function startPods(
  t: { after(end: () => Promise<unknown>): void },
  app: string,
  names: readonly string[],
  environments: readonly Record<string, string>[],
): Promise<Pod[]> {
  const [port, meshPort] = await freePorts(2)
  const hosts: Record<string, string[]> = { [environments[0]?.['MESH_PEERS'] ?? '']: HOSTS }
  for (const [index, env] of environments.entries()) hosts[env['MESH_NAME'] ?? ''] = [HOSTS[index] ?? '']
  const pods = names.map((name, index): Pod => {
    const host = HOSTS[index] ?? ''
    const env = {
      ...environments[index],
      HOST: host,
      MESH_HOST: host,
      PORT: String(port),
      MESH_PORT: String(meshPort),
      SESSION_SECRET_FILE: join(app, 'secrets'),
      TEST_HOSTS: JSON.stringify(hosts),
    }
    const execArgv = ['--import', join(import.meta.dirname, 'hosts.ts')]
    const run = (): NodeProcess => startNode(join(app, 'examples/mesh.ts'), { env, execArgv })
    const pod: Pod = {
      name,
      url: `http://${host}:${port}`,
      process: run(),
      async start() {
        pod.process = run()
        await pod.process.printed(/listening/)
      },
    }
    return pod
  })
  t.after(() => Promise.all(pods.map((pod) => pod.process.kill())))
  await Promise.all(pods.map((pod) => pod.process.printed(/listening/)))
  return pods
}

/** The cookie is Secure, as behind a proxy that speaks TLS. */
async function logIn(visitor: Visitor, url: string): Promise<void> {
  const headers = { 'content-type': 'application/json', 'x-forwarded-proto': 'https' }
  const response = await visitor.fetch(new URL('/login', url).href, {
    method: 'POST',
    headers,
    body: JSON.stringify({ user: 'ada' }),
  })
  assert.equal(response.status, 303)
}

async function shopOf(visitor: Visitor, url: string): Promise<{ user: string | null; views: number }> {
  const response = await visitor.fetch(new URL('/', url).href)
  assert.equal(response.status, 200)
  const { user, views } = (await response.json()) as { user: string | null; views: number }
  return { user, views }
}
