/** Memory and stalls of a million sessions: the mesh's record memory beside a Map of objects and beside nothing at all. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { median, toTable } from './load.ts'
import type { BenchOptions } from './main.ts'

const SESSIONS = 1_000_000
const WRITES_PER_SECOND = 10_000
const VARIANTS = ['nothing', 'Map of objects', 'record memory'] as const

export type MemoryVariant = (typeof VARIANTS)[number]

/** What a child is asked to do. */
export interface MemoryTask {
  readonly variant: MemoryVariant
  readonly sessions: number
  readonly writesPerSecond: number
  readonly seconds: number
}

/** What one phase of a child showed. */
export interface MemoryPhase {
  /** Resident bytes of the process at its end, after a forced collection. */
  readonly residentBytes: number
  /** Largest resident bytes seen in it. */
  readonly residentBytesMax: number
  /** Longest delay of the event loop, in milliseconds. */
  readonly stallMs: number
  /** Processor time of the longest turn of the event loop, in milliseconds: what other processes on the machine do not add to. */
  readonly turnCpuMs: number
  /** Longest single call of the store, in milliseconds. */
  readonly callMs: number
  /** Longest collection, in milliseconds. */
  readonly collectionMs: number
  readonly collections: number
  /** Processor time of the process for each write, in microseconds. */
  readonly cpuUs: number
}

/** What a child answers. */
export interface MemoryReport {
  /** Resident bytes before the first session. */
  readonly residentBytesBefore: number
  readonly bytesEach: number
  readonly sessionsLoaded: number
  readonly sessionsLeft: number
  readonly load: MemoryPhase
  readonly churn: MemoryPhase
}

export async function run({ rounds, seconds }: BenchOptions): Promise<void> {
  const reports = new Map<MemoryVariant, MemoryReport[]>(VARIANTS.map((variant) => [variant, []]))
  for (let round = 0; round < rounds; round++) {
    for (const variant of round % 2 === 0 ? VARIANTS : VARIANTS.toReversed()) {
      reports
        .get(variant)
        ?.push(await measure({ variant, sessions: SESSIONS, writesPerSecond: WRITES_PER_SECOND, seconds }))
    }
    console.error(`round ${round + 1} of ${rounds}`)
  }
  print(reports, seconds)
}

async function measure(task: MemoryTask): Promise<MemoryReport> {
  const child = fork(new URL('./apps/mesh-memory-child.ts', import.meta.url), {
    execArgv: ['--expose-gc', '--max-old-space-size=8192'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  child.send(task)
  const [report] = (await Promise.race([
    once(child, 'message'),
    exited.then(([code]) => Promise.reject(new Error(`${task.variant}: the child ended with ${code}`))),
  ])) as [MemoryReport]
  child.disconnect()
  await exited
  return report
}

function print(reports: ReadonlyMap<MemoryVariant, readonly MemoryReport[]>, seconds: number): void {
  for (const phase of ['load', 'churn'] as const) {
    const title = phase === 'load' ? `Loading ${SESSIONS} sessions` : `${seconds} s of ${WRITES_PER_SECOND} writes/s`
    const rows = [...reports].map(([variant, all]) => {
      const of = (pick: (phase: MemoryPhase) => number): number[] => all.map((report) => pick(report[phase]))
      const each = all.map(
        (report) =>
          (report[phase].residentBytes - report.residentBytesBefore) /
          report[phase === 'load' ? 'sessionsLoaded' : 'sessionsLeft'],
      )
      const whole = all.map((report) => report[phase].residentBytesMax / 2 ** 20)
      return [
        variant,
        median(all.map(({ bytesEach }) => bytesEach)).toFixed(0),
        median(each).toFixed(0),
        Math.max(...whole).toFixed(0),
        Math.max(...of(({ stallMs }) => stallMs)).toFixed(1),
        Math.max(...of(({ turnCpuMs }) => turnCpuMs)).toFixed(1),
        Math.max(...of(({ callMs }) => callMs)).toFixed(1),
        `${Math.max(...of(({ collectionMs }) => collectionMs)).toFixed(1)} of ${median(of(({ collections }) => collections)).toFixed(0)}`,
        median(of(({ cpuUs }) => cpuUs)).toFixed(1),
      ]
    })
    console.log(`\n### ${title}; resident bytes and CPU as medians, the rest as the worst of all rounds\n`)
    console.log(toTable(['variant', 'encoded B/session', 'resident B/session', 'most MiB resident', 'longest event-loop delay, ms', 'longest turn, CPU ms', 'longest call, ms', 'longest collection, ms', 'CPU µs/write'], rows)) // prettier-ignore
  }
}
