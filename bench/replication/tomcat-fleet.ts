/** Fleets of Tomcat 10.1, each node with a folder of its own: SimpleTcpCluster with static members on 127.0.0.1. */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { request } from 'undici'
import { removeFolder, temporaryFolder } from '../../test/support/folders.ts'
import { freePorts } from '../../test/support/ports.ts'
import { type OwnedProcess, startProcess } from '../../test/support/processes.ts'
import { findCommand } from '../../test/support/programs.ts'
import { type CountedPort, countedPort } from './counted-port.ts'
import type { Fleet, FleetKind, FleetNode, FleetOptions } from './fleet.ts'
import { fail } from './visitor.ts'

/** Where Debian's package `tomcat10-common` puts it. */
const HOME = '/usr/share/tomcat10'
const FILES = fileURLToPath(new URL('../tomcat/', import.meta.url))

const SERVLET = 'SessionServlet'
const MEMBER = 'CountedMember'

/** Tribes' own numbers: asynchronous; acknowledged, and once the other side has done it. */
const SEND_OPTIONS = { asynchronous: 8, synchronous: 6 }

/** What has to be installed; empty where all is there. */
export function missingForTomcat(): string[] {
  const missing: string[] = []
  if (!existsSync(join(HOME, 'bin/bootstrap.jar'))) missing.push('tomcat10-common')
  if (findCommand('javac') === undefined) missing.push('default-jdk-headless')
  return missing
}

export function tomcatFleet(manager: 'DeltaManager' | 'BackupManager', sending: keyof typeof SEND_OPTIONS): FleetKind {
  return {
    name: `Tomcat ${manager}, ${sending}`,
    isOurs: false,
    start: (options) => start(manager, SEND_OPTIONS[sending], options),
  }
}

interface Place {
  readonly folder: string
  readonly httpPort: number
  readonly counted: CountedPort
}

async function start(
  manager: string,
  sendOptions: number,
  { nodes: count, spares, isProxied }: FleetOptions,
): Promise<Fleet> {
  const folder = temporaryFolder()
  const classes = join(folder, 'classes')
  const jars = ['servlet-api.jar', 'catalina-tribes.jar'].map((jar) => join(HOME, 'lib', jar)).join(':')
  const sources = [SERVLET, MEMBER].map((name) => join(FILES, `${name}.java`))
  await promisify(execFile)('javac', ['-d', classes, '-cp', jars, ...sources])

  const ports = await freePorts(2 * (count + spares))
  const drafts = await Promise.all(
    Array.from({ length: count + spares }, async (_, index) => {
      const [httpPort = 0, listenPort = 0] = ports.slice(2 * index)
      const counted = await countedPort(listenPort, isProxied)
      // Members are told the proxy's port, also by messages, so that answers go through it too.
      const member = `host="127.0.0.1" port="${counted.port}" uniqueId="{${Array(15).fill(0).join()},${index + 1}}"`
      return { folder: join(folder, `node-${index}`), httpPort, listenPort, counted, member }
    }),
  )
  for (const draft of drafts) {
    const members = drafts
      .filter((other) => other !== draft)
      .map(({ member }) => toMember('Member', member, `${TRIBES}.StaticMember`))
    await prepare(draft.folder, classes, {
      httpPort: `${draft.httpPort}`,
      listenPort: `${draft.listenPort}`,
      sendOptions: `${sendOptions}`,
      manager: toManager(manager, sendOptions),
      members: [toMember('LocalMember', draft.member, MEMBER), ...members].join('\n'),
    })
  }
  const nodes: (FleetNode & { readonly place: Place })[] = []

  async function run(place: Place): Promise<void> {
    const process = startTomcat(place.folder)
    await place.counted.follow(process.exited)
    await Promise.race([
      process.printed(/Server startup in/),
      process.exited.then(() => fail(`Tomcat ended:\n${process.output}`)),
    ])
    nodes.push({ ...toNode(process, place, () => nodes.splice(nodes.findIndex((node) => node.pid === process.pid), 1)), place }) // prettier-ignore
  }

  for (const draft of drafts.slice(0, count)) await run(draft)
  return {
    isOurs: false,
    nodes,
    get receivers() {
      return manager === 'BackupManager' ? 1 : nodes.length - 1
    },
    async add() {
      await run(drafts.find((free) => !nodes.some(({ place }) => place === free)) ?? fail('no place is free'))
      return nodes.at(-1) ?? fail('it is gone')
    },
    holders: () => nodes,
    async [Symbol.asyncDispose]() {
      await Promise.all([...nodes].map((node) => node.kill()))
      await Promise.all(drafts.map(({ counted }) => counted[Symbol.asyncDispose]()))
      removeFolder(folder)
    },
  }
}

const TRIBES = 'org.apache.catalina.tribes.membership'

const toMember = (element: string, member: string, className: string): string =>
  `<${element} className="${className}" ${member}/>`

function toManager(manager: string, sendOptions: number): string {
  const options = manager === 'BackupManager' ? `mapSendOptions="${sendOptions}"` : 'expireSessionsOnShutdown="false"'
  return `<Manager className="org.apache.catalina.ha.session.${manager}" notifyListenersOnReplication="true" ${options}/>`
}

/** Makes a node's `catalina.base`. */
async function prepare(base: string, classes: string, values: Readonly<Record<string, string>>): Promise<void> {
  const inside = join(base, 'webapps/ROOT/WEB-INF')
  for (const folder of ['conf', 'lib', 'logs', 'temp', 'work']) await mkdir(join(base, folder), { recursive: true })
  await mkdir(join(inside, 'classes'), { recursive: true })
  await copyFile(join(FILES, 'web.xml'), join(inside, 'web.xml'))
  await copyFile(join(classes, `${SERVLET}.class`), join(inside, `classes/${SERVLET}.class`))
  await copyFile(join(classes, `${MEMBER}.class`), join(base, `lib/${MEMBER}.class`))
  const template = await readFile(join(FILES, 'server.xml'), 'utf8')
  const xml = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? fail(`server.xml: ${name}`))
  await writeFile(join(base, 'conf/server.xml'), xml)
}

function startTomcat(base: string): OwnedProcess {
  const bin = join(HOME, 'bin')
  return startProcess('java', [
    '-Xms512m',
    '-Xmx1g',
    `-Dcatalina.home=${HOME}`,
    `-Dcatalina.base=${base}`,
    `-Djava.io.tmpdir=${join(base, 'temp')}`,
    '-cp',
    `${join(bin, 'bootstrap.jar')}:${join(bin, 'tomcat-juli.jar')}`,
    'org.apache.catalina.startup.Bootstrap',
    'start',
  ])
}

function toNode(process: OwnedProcess, { httpPort, counted }: Place, gone: () => void): FleetNode {
  const url = `http://127.0.0.1:${httpPort}`
  return {
    url,
    pid: process.pid,
    bytes: () => counted.bytes,
    heldBytes: async () => Number(await (await request(`${url}/heap`)).body.text()),
    async kill() {
      await process.kill()
      gone()
    },
    async leave() {
      await process.kill('SIGTERM')
      gone()
    },
  }
}
