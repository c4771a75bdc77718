/**
 * What must be there before anything else runs: the packages of package-lock.json, and Node 24 among them.
 *
 * Plain JavaScript on Node's own modules, because it runs on the machine's Node (20 or later) before anything is installed.
 */

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const nodeMajorMin = 20
const parentCheckMs = 500
const isWindows = process.platform === 'win32'
const root = fileURLToPath(new URL('..', import.meta.url))
const programs = join(root, 'node_modules', '.bin')
const projectNode = join(programs, isWindows ? 'node.cmd' : 'node')

/** Installs what is missing; ends the process with code 1 and a clear line where it cannot. */
export function install() {
  if (Number(process.versions.node.split('.')[0]) < nodeMajorMin) {
    fail(`This is Node ${process.versions.node}; Sojourn's scripts need Node ${nodeMajorMin} or later.`)
  }
  const wanted = lockedPackages('package-lock.json')
  if (!wanted) fail('package-lock.json is missing or cannot be read; a fresh clone has it.')
  const nodeVersion = wanted['node_modules/node'].version
  if (isInstalled(wanted) && runsAs(nodeVersion)) return

  console.log('Installing the packages of package-lock.json (npm ci), which takes about a minute ...')
  const npm = run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
  if (npm.error) fail(`npm could not be started (${npm.error.message}); it comes with Node.`)
  if (npm.status !== 0) fail('`npm ci` failed; what it said stands above.')
  if (!runsAs(nodeVersion)) {
    fail(
      `Node ${nodeVersion} was not installed: npm's install scripts seem to be off (\`npm config get ignore-scripts\`).\n` +
        'Run `npm rebuild node --ignore-scripts=false`, then this command again.',
    )
  }
  console.log('Installed.')
}

/**
 * Runs the project's Node 24 in the project's folder with this process's terminal, passes SIGTERM and SIGINT on, and
 * resolves the exit code, 128 + n where signal n ended it.
 *
 * @param {string[]} args
 */
export function runNode(args) {
  const child = spawn(projectNode, args, {
    cwd: root,
    stdio: 'inherit',
    env: environment({ withProjectFirst: true }),
    shell: isWindows,
  })
  // A terminal gives Ctrl-C to every process in front of it; passing it on too would make two of one.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'))
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  // A SIGTERM to npm ends npm and its shell, which do not pass it on; that this process has another parent then is all it sees.
  const { ppid } = process
  const watch = () => process.ppid === ppid || child.kill('SIGTERM')
  if (process.env.npm_lifecycle_event !== undefined) setInterval(watch, parentCheckMs).unref()
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)))
  })
}

/** npm writes node_modules/.package-lock.json last, so a broken-off install counts as none. */
function isInstalled(wanted) {
  const present = lockedPackages('node_modules/.package-lock.json')
  if (!present) return false
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    if (path === '') return true
    const found = present[path]
    return found ? found.version === version && found.integrity === integrity : optional === true
  })
}

function lockedPackages(path) {
  if (!existsSync(join(root, path))) return undefined
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8')).packages
  } catch {
    return undefined
  }
}

function runsAs(version) {
  const { stdout } = run(projectNode, ['--version'], 'pipe')
  return stdout?.trim() === `v${version}`
}

function run(command, args, stdio = 'inherit') {
  // npm must not run on the Node that it is about to replace, which `npm run` puts first in PATH.
  const env = environment({ withProjectFirst: false })
  return spawnSync(command, args, { cwd: root, stdio, encoding: 'utf8', env, shell: isWindows })
}

/** NODE_OPTIONS is meant for the caller's Node, and may hold what another version refuses. */
function environment({ withProjectFirst }) {
  const { NODE_OPTIONS: _, PATH = '', ...rest } = process.env
  const others = PATH.split(delimiter).filter((folder) => !folder.endsWith(join('node_modules', '.bin')))
  return { ...rest, PATH: (withProjectFirst ? [programs, ...others] : others).join(delimiter) }
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
