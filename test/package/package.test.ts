import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { importsOf, type InstalledPackage, installPackage } from './installed.ts'

interface Manifest {
  readonly exports: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
}

let installed: InstalledPackage
let manifest: Manifest

before(async () => {
  installed = await installPackage()
  manifest = JSON.parse(await readFile(join(installed.folder, 'package.json'), 'utf8')) as Manifest
})
after(() => installed[Symbol.asyncDispose]())

test('a production install brings four packages, none of which brings another', async () => {
  const dependencies = Object.keys(manifest.dependencies)
  assert.deepEqual(dependencies, ['cac', 'cookie', 'devalue', 'lru-cache', 'undici'])
  for (const name of dependencies) {
    const text = await readFile(join(import.meta.dirname, '../../node_modules', name, 'package.json'), 'utf8')
    assert.deepEqual((JSON.parse(text) as Partial<Manifest>).dependencies ?? {}, {}, name)
  }
})

/** What each entry may load: rooms of its own, and packages. `core` and `token` stand for themselves. */
const PAYS_FOR: Readonly<Record<string, { rooms: readonly string[]; packages: readonly string[] }>> = {
  '.': { rooms: ['core', 'token', 'stores/memory'], packages: ['cookie', 'devalue', 'lru-cache'] },
  './sqlite': { rooms: ['core', 'token', 'stores/sqlite'], packages: ['cookie', 'devalue', 'lru-cache'] },
  './redis': { rooms: ['core', 'token', 'stores/redis'], packages: ['cookie', 'devalue', 'lru-cache'] },
  './mesh': { rooms: ['core', 'token', 'stores/mesh'], packages: ['cookie', 'devalue', 'lru-cache'] },
  './cookie': { rooms: ['core', 'token', 'stores/cookie'], packages: ['cookie', 'devalue', 'lru-cache'] },
  './node': { rooms: ['core', 'token', 'adapters'], packages: ['cookie', 'devalue', 'lru-cache'] },
  './express': { rooms: ['core', 'token', 'adapters'], packages: ['cookie', 'devalue', 'lru-cache'] },
  './express/types': { rooms: ['adapters'], packages: [] },
  './express/compat': {
    rooms: ['core', 'token', 'adapters', 'compat/express-session'],
    packages: ['cookie', 'devalue', 'lru-cache'],
  },
  './fastify': { rooms: ['core', 'token', 'adapters'], packages: ['cookie', 'devalue', 'lru-cache'] },
  './fastify/types': { rooms: ['adapters'], packages: [] },
  './ws': { rooms: ['core', 'token', 'adapters'], packages: ['cookie', 'devalue', 'lru-cache'] },
  './affinity': { rooms: ['token', 'affinity'], packages: ['cookie', 'lru-cache'] },
  './gateway': { rooms: ['token', 'affinity', 'gateway'], packages: ['cookie', 'lru-cache', 'undici'] },
  './laws': { rooms: ['core', 'token', 'laws'], packages: ['cookie', 'devalue', 'lru-cache'] },
  './testing': { rooms: ['core', 'token', 'stores/memory', 'testing'], packages: ['cookie', 'devalue', 'lru-cache'] },
}

test('each subpath loads nothing but the rooms and packages that it is made of', async () => {
  const entries = Object.keys(manifest.exports).filter((name) => name !== './package.json')
  assert.deepEqual(entries.toSorted(), Object.keys(PAYS_FOR).toSorted())
  for (const entry of entries) {
    const { files, packages } = await importsOf(join(installed.folder, manifest.exports[entry] ?? ''))
    const { rooms, packages: allowed } = PAYS_FOR[entry] ?? { rooms: [], packages: [] }
    for (const file of files) {
      const path = relative(join(installed.folder, 'dist'), file)
      const isOwn = !path.includes('/') || rooms.some((room) => path.startsWith(`${room}/`))
      assert.ok(isOwn, `sojourn${entry.slice(1)} loads ${path}`)
    }
    for (const name of packages) assert.ok(allowed.includes(name), `sojourn${entry.slice(1)} loads the package ${name}`)
  }
})

test('every entry can be imported from the packed package, and exports what is documented', async () => {
  const names: Record<string, string[]> = {}
  for (const [entry, file] of Object.entries(manifest.exports)) {
    if (!file.endsWith('.js')) continue
    names[entry] = Object.keys((await import(pathToFileURL(join(installed.folder, file)).href)) as object).toSorted()
  }
  assert.deepEqual(names['.'], [
    'SessionGoneError',
    'SessionInvalidError',
    'SessionSupersededError',
    'SessionTooLargeError',
    'SojournError',
    'StoreFullError',
    'StoreTimeoutError',
    'StoreUnavailableError',
    'UnstorableValueError',
    'createSessions',
    'memoryStore',
  ])
  assert.deepEqual(names['./sqlite'], ['sqliteStore'])
  assert.deepEqual(names['./redis'], ['connectRedis', 'fastifySession', 'redisStore'])
  assert.deepEqual(names['./mesh'], ['meshStore'])
  assert.deepEqual(names['./cookie'], ['cookieStore', 'fastifySecureSession', 'ironSession'])
  assert.deepEqual(names['./express'], ['session'])
  assert.deepEqual(names['./express/compat'], ['session'])
  assert.deepEqual(names['./fastify'], ['session'])
  assert.deepEqual(names['./ws'], ['sessionUpgrade'])
  assert.deepEqual(names['./testing'], ['createTestClock', 'createTestSessions', 'issue'])
})
