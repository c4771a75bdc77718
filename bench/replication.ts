/** Replication between servers: the mesh beside Tomcat's DeltaManager and BackupManager, in one run. */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { findCommand } from '../test/support/programs.ts'
import { toTable } from './load.ts'
import { CORRECTNESS } from './replication/correctness.ts'
import type { FleetKind } from './replication/fleet.ts'
import { PROCESSOR_TIME } from './replication/processor-time.ts'
import { type Figure, type Row, type Scale, SHAPES } from './replication/row.ts'
import { SIZE } from './replication/size.ts'
import { sojournFleet } from './replication/sojourn-fleet.ts'
import { missingForTomcat, tomcatFleet } from './replication/tomcat-fleet.ts'
import { TRAFFIC } from './replication/traffic.ts'
import { closeConnections } from './replication/visitor.ts'

const ROWS: readonly Row[] = [...TRAFFIC, ...CORRECTNESS, ...SIZE, ...PROCESSOR_TIME]

/** The mode that promises what ours does: an answer only once the other node has the change. */
const COMPARED = 'Tomcat DeltaManager, synchronous'

export async function run(): Promise<void> {
  const { values } = parseArgs({
    allowPositionals: true,
    strict: false,
    options: {
      only: { type: 'string' },
      fleets: { type: 'string' },
      quick: { type: 'boolean' },
      profile: { type: 'string' },
      into: { type: 'string' },
    },
  })
  const only = typeof values.only === 'string' ? values.only.split(',') : ROWS.map(({ name }) => name)
  const unknown = only.filter((name) => !ROWS.some((row) => row.name === name))
  if (unknown.length > 0) {
    throw new Error(`no row ${unknown.join()}; --only takes ${ROWS.map(({ name }) => name).join()}`)
  }
  const isQuick = values.quick === true
  const scale: Scale = { isQuick, count: (full) => (isQuick ? Math.ceil(full / 10) : full) }
  const kinds = fleetKinds(typeof values.profile === 'string' ? values.profile : undefined).filter(({ name }) =>
    name.includes(String(values.fleets ?? '')),
  )
  const rows = ROWS.filter(({ name }) => only.includes(name))
  const file = typeof values.into === 'string' ? values.into : undefined
  const figures = await earlier(file)
  for (const kind of kinds) {
    const before = [...(figures.get(kind.name) ?? [])].filter(([label]) => !only.includes(label)) // what failed then
    figures.set(kind.name, new Map([...before, ...(await measure(kind, rows, scale))]))
    if (file) await writeFile(file, JSON.stringify([...figures].map(([name, found]) => [name, [...found]])))
  }
  await closeConnections()
  print(figures)
}

/** What runs before have put into this file: on a shared machine, rows and fleets are measured in several sittings. */
async function earlier(file: string | undefined): Promise<Map<string, ReadonlyMap<string, Figure>>> {
  if (file === undefined || !existsSync(file)) return new Map()
  const entries = JSON.parse(await readFile(file, 'utf8')) as [string, [string, Figure][]][]
  return new Map(entries.map(([name, found]) => [name, new Map(found)]))
}

function fleetKinds(profileFolder: string | undefined): FleetKind[] {
  const ours = [sojournFleet(2, profileFolder), sojournFleet('all', profileFolder)]
  if (findCommand('wrk') === undefined) throw new Error('the load is made by wrk (apt-get install wrk)')
  const missing = missingForTomcat()
  if (missing.length > 0) {
    console.log(
      `Tomcat is not measured beside it: it needs ${missing.join(' ')} (apt-get install ${missing.join(' ')})`,
    )
    return ours
  }
  return [
    ...ours,
    tomcatFleet('DeltaManager', 'asynchronous'),
    tomcatFleet('DeltaManager', 'synchronous'),
    tomcatFleet('BackupManager', 'asynchronous'),
    tomcatFleet('BackupManager', 'synchronous'),
  ]
}

/** Rows that share a fleet run on it one after the other. A row that fails says so in its place. */
async function measure(kind: FleetKind, rows: readonly Row[], scale: Scale): Promise<ReadonlyMap<string, Figure>> {
  const found = new Map<string, Figure>()
  for (const [shape, options] of Object.entries(SHAPES)) {
    const mine = rows.filter((row) => row.shape === shape)
    if (mine.length === 0) continue
    await using fleet = await kind.start(options)
    for (const row of mine) {
      const startedAt = performance.now()
      try {
        for (const figure of await row.measure(fleet, scale, kind)) {
          found.set(figure.label, figure)
          console.error(`${kind.name}: ${figure.label}: ${figure.text}`)
        }
      } catch (error) {
        console.error(`${kind.name}: ${row.name} failed`, error)
        found.set(row.name, { label: row.name, text: 'failed' })
        break // what it left behind would be measured by the next
      }
      console.error(`${kind.name}: ${row.name} took ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`)
    }
  }
  return found
}

function print(figures: ReadonlyMap<string, ReadonlyMap<string, Figure>>): void {
  const labels = [...new Set([...figures.values()].flatMap((found) => [...found.keys()]))]
  const compared = figures.get(COMPARED)
  const [ours] = figures.values()
  const rows = labels.map((label) => {
    const [mine, theirs] = [ours?.get(label)?.value, compared?.get(label)?.value]
    const ratio = mine !== undefined && theirs ? (mine / theirs).toFixed(2) : ''
    return [label, ...[...figures.values()].map((found) => found.get(label)?.text ?? '-'), ratio]
  })
  console.log(toTable(['figure', ...figures.keys(), `first / ${COMPARED}`], rows))
}
