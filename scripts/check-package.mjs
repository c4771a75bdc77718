/**
 * Checks the package as it would be shipped: builds it, packs it, and looks at the tarball.
 *
 * `exports` and the sources' "Exported from" lines name the same entries, publint and attw find nothing, and each entry loads
 * where only the package's own dependencies are installed.
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const entries = Object.entries(manifest.exports).filter(([subpath]) => subpath !== './package.json')
const folder = mkdtempSync(join(tmpdir(), 'sojourn-package-'))

const problems = []
try {
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  if (tool('tsc', '-p', 'tsconfig.build.json')) {
    checkEntries()
    const tarball = pack()
    if (tarball !== undefined) {
      tool('publint', 'run', tarball, '--strict')
      tool('attw', tarball, '--profile', 'esm-only', '--format', 'ascii', '--no-emoji', '--no-color')
      loadEntries(tarball)
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
for (const problem of problems) console.error(problem)
if (problems.length === 0) console.log(`The package is well: ${entries.length} entries.`)
process.exitCode = problems.length === 0 ? 0 : 1

/** What is exported is built, and the module says so; what says that it is exported, is. */
function checkEntries() {
  const said = new Map()
  for (const file of readdirSync(join(root, 'src'), { recursive: true })) {
    if (!file.endsWith('.ts')) continue
    const source = readFileSync(join(root, 'src', file), 'utf8')
    const subpath = /^ \* Exported from `([^`]+)`/m.exec(source)?.[1]
    if (subpath !== undefined) said.set(`./dist/${file.replaceAll('\\', '/').replace(/\.ts$/, '.js')}`, subpath)
  }
  for (const [subpath, target] of entries) {
    const name = join(manifest.name, subpath)
    for (const built of [target, target.replace(/\.js$/, '.d.ts')]) {
      if (!existsSync(join(root, built))) problems.push(`package.json exports ${name}, but the build has no ${built}`)
    }
    if (said.get(target) !== name) problems.push(`the module behind ${target} does not say: Exported from \`${name}\`.`)
    said.delete(target)
  }
  for (const [target, name] of said)
    problems.push(`${target} says that it is ${name}, but package.json does not export it`)
  for (const target of Object.values(manifest.bin)) {
    const isProgram = existsSync(join(root, target)) && readFileSync(join(root, target), 'utf8').startsWith('#!')
    if (!isProgram)
      problems.push(`package.json names the program ${target}, which is not built or does not begin with #!`)
  }
}

function pack() {
  const { status, stdout, stderr } = run('npm', 'pack', '--json', '--ignore-scripts', '--pack-destination', folder)
  if (status === 0)
    return join(
      folder,
      readdirSync(folder).find((file) => file.endsWith('.tgz')),
    )
  problems.push(`npm pack failed:\n${stdout}${stderr}`)
  return undefined
}

/** Beside the unpacked package stand its dependencies alone, so that an import of anything else fails. */
function loadEntries(tarball) {
  const installed = join(folder, 'node_modules', manifest.name)
  mkdirSync(installed, { recursive: true })
  if (!tool('tar', '-xzf', tarball, '-C', installed, '--strip-components=1')) return
  for (const name of Object.keys(manifest.dependencies)) {
    const link = join(folder, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), link, 'junction')
  }
  for (const [subpath] of entries) {
    const name = join(manifest.name, subpath)
    const code = `await import(${JSON.stringify(name)})`
    const { status, stdout, stderr } = run(process.execPath, '--input-type=module', '--eval', code)
    if (status !== 0 || `${stdout}${stderr}` !== '') problems.push(`import '${name}' said:\n${stdout}${stderr}`)
  }
}

/** Runs a tool of the project; what it says is a problem where it fails. */
function tool(command, ...args) {
  const { status, stdout, stderr, error } = run(command, ...args)
  if (status !== 0)
    problems.push(`${command} ${args.join(' ')} failed:\n${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`)
  return status === 0
}

function run(command, ...args) {
  const isInFolder = command === process.execPath
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH}`,
  }
  return spawnSync(command, args, { cwd: isInFolder ? folder : root, encoding: 'utf8', env })
}
