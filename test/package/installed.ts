import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')

/** The package as a user has it: built, packed, unpacked into `node_modules/sojourn` of an application in a temporary folder. */
export interface InstalledPackage extends AsyncDisposable {
  /** The application's folder; the development dependencies of this project can be imported from it. */
  readonly app: string
  /** The package's folder inside it. */
  readonly folder: string
}

export async function installPackage(): Promise<InstalledPackage> {
  const app = await mkdtemp(join(tmpdir(), 'sojourn-app-'))
  const built = join(app, 'build')
  await run(join(root, 'node_modules/.bin/tsc'), [
    '-p',
    join(root, 'tsconfig.build.json'),
    '--outDir',
    join(built, 'dist'),
  ])
  for (const name of ['package.json', 'README.md', 'SECURITY.md', 'LICENSE']) {
    await run('cp', [join(root, name), built])
  }
  await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', app], { cwd: built })
  const [tarball = ''] = (await readdir(app)).filter((name) => name.endsWith('.tgz'))
  await mkdir(join(app, 'node_modules'))
  await run('tar', ['-xzf', join(app, tarball), '-C', join(app, 'node_modules')])
  const folder = join(app, 'node_modules/sojourn')
  await run('mv', [join(app, 'node_modules/package'), folder])
  for (const name of await readdir(join(root, 'node_modules'))) {
    if (name !== 'sojourn') await symlink(join(root, 'node_modules', name), join(app, 'node_modules', name))
  }
  return { app, folder, [Symbol.asyncDispose]: () => rm(app, { recursive: true, force: true }) }
}

/** Every file that importing `entry` loads, and every package, following static imports alone. */
export async function importsOf(entry: string): Promise<{ files: Set<string>; packages: Set<string> }> {
  const files = new Set<string>()
  const packages = new Set<string>()
  const visit = async (file: string): Promise<void> => {
    if (files.has(file)) return
    files.add(file)
    const text = await readFile(file, 'utf8')
    for (const [, name = ''] of text.matchAll(/^(?:import|export)\b(?:[^'"]*?\bfrom)?\s*['"]([^'"]+)['"]/gm)) {
      if (name.startsWith('.')) await visit(join(file, '..', name))
      else if (!name.startsWith('node:')) packages.add(name)
    }
  }
  await visit(entry)
  return { files, packages }
}
