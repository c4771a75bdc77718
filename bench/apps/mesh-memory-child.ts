/** One variant of the memory benchmark, a process of its own: is told its task over IPC, and answers with what it saw. */
import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises'
import { applyChange, type Change, isTombstone, type SessionRecord, type Tombstone } from '../../src/core/index.ts'
import { decodeRecord, encodeRecord, keyToBytes } from '../../src/stores/mesh/record-codec.ts'
import { RecordMemory } from '../../src/stores/mesh/slab/record-memory.ts'
import type { MemoryPhase, MemoryReport, MemoryTask, MemoryVariant } from '../mesh-memory.ts'

const TURN_WRITES = 100
const TOMBSTONE_MS = 2_000
const SLOTS = Array.from({ length: 3 }, () => randomBytes(9).toString('base64url'))

/** What the variants have in common. */
interface Sessions {
  apply(change: Change): void
  end(tombstone: Tombstone): void
  clean(nowMs: number): void
}

function createMap(): Sessions {
  const records = new Map<string, SessionRecord | Tombstone>()
  const tombstones: Tombstone[] = []
  return {
    apply(change) {
      const present = records.get(change.key)
      const isEnded = present !== undefined && isTombstone(present)
      const { record } = applyChange(isEnded ? undefined : present, isEnded, change)
      if (record) records.set(change.key, record)
    },
    end(tombstone) {
      records.set(tombstone.key, tombstone)
      tombstones.push(tombstone)
    },
    clean(nowMs) {
      const over = tombstones.findIndex(({ forgetAt }) => forgetAt > nowMs)
      for (const { key } of tombstones.splice(0, over === -1 ? tombstones.length : over)) records.delete(key)
    },
  }
}

function createMemory(): Sessions {
  const memory = new RecordMemory({ nowMs: Date.now() })
  return {
    apply(change) {
      const bytes = memory.get(keyToBytes(change.key))
      const present = bytes && decodeRecord(bytes)
      const isEnded = present !== undefined && isTombstone(present)
      const { record } = applyChange(isEnded ? undefined : present, isEnded, change)
      if (record) memory.put(encodeRecord(record), record.expiresAt)
    },
    end: (tombstone) => memory.put(encodeRecord(tombstone), tombstone.forgetAt, 'tombstone'),
    clean: (nowMs) => void memory.tick(nowMs, 4 * TURN_WRITES),
  }
}

const CREATE: Readonly<Record<MemoryVariant, () => Sessions>> = {
  nothing: () => ({ apply() {}, end() {}, clean() {} }),
  'Map of objects': createMap,
  'record memory': createMemory,
}

/** What a request leaves behind for the collector; the last two hundred are in flight. */
const inFlight: object[] = []
let requests = 0
function serveRequest(): void {
  const id = requests++
  const headers = Object.fromEntries(
    Array.from({ length: 14 }, (_, index) => [`x-header-${index}`, `value ${index} of request ${id} `.repeat(3)]),
  )
  const body = JSON.parse(JSON.stringify({ id, headers })) as object
  inFlight[id % 200] = { headers, body, chunk: Buffer.allocUnsafe(1_500), done: () => headers }
}

const keyOf = (number: number): string => hash('sha256', `session ${number}`, 'base64url')

let operations = 0
function changeOf(number: number, isNew: boolean): Change {
  const count = operations++
  const now = Date.now()
  const fields = new Map<string, string>([['views', `${count % 1000}`]])
  if (isNew || count % 3 === 0) {
    fields.set('cart', JSON.stringify([{ sku: `T${count}`, name: 'Cast iron kettle'.slice(count % 10), cents: 199 }]))
  }
  if (isNew) {
    fields.set('theme', '"dark"')
    fields.set('locale', '"en-GB"')
    fields.set(
      'profile',
      JSON.stringify({
        name: `Visitor ${number}`,
        mail: `visitor${number}@mail.example.com`,
        company: 'Example Ltd',
        roles: ['user'],
      }),
    )
  }
  return {
    key: keyOf(number),
    operation: { slot: SLOTS[isNew ? 0 : count % 3] ?? '', count },
    now,
    expiresAt: now + 1_800_000,
    generation: 0,
    ...(isNew ? { create: true, login: { user: `user-${number}` } } : {}),
    fields,
  }
}

async function perform({ variant, sessions, writesPerSecond, seconds }: MemoryTask): Promise<MemoryReport> {
  const store = CREATE[variant]()
  const live = new Uint32Array(sessions * 2)
  live.fill(0) // resident from the start, so that it does not count as the sessions'
  let liveCount = 0
  let next = 0
  const create = (): void => {
    live[liveCount++] = next
    store.apply(changeOf(next++, true))
  }
  const write = (): void => {
    const dice = Math.random()
    const place = Math.floor(Math.random() * liveCount)
    const number = live[place] ?? 0
    if (dice < 0.7) store.apply(changeOf(number, false))
    else if (dice < 0.85) create()
    else {
      live[place] = live[--liveCount] ?? 0
      const now = Date.now()
      store.end({ key: keyOf(number), endedAt: now, forgetAt: now + TOMBSTONE_MS })
    }
  }
  globalThis.gc?.()
  const residentBytesBefore = process.memoryUsage.rss()
  const load = await observe(async (turn) => {
    for (let left = sessions; left > 0; left -= turn(Math.min(TURN_WRITES, left), create)) await immediate()
    return sessions
  })
  const churn = await observe(async (turn) => {
    const start = performance.now()
    let written = 0
    while (performance.now() - start < seconds * 1000) {
      const due = ((performance.now() - start) / 1000) * writesPerSecond - written
      if (due >= 1) written += turn(Math.min(Math.floor(due), TURN_WRITES), () => (serveRequest(), write()))
      store.clean(Date.now())
      if (due < 2 * TURN_WRITES) await sleep(5)
      else await immediate()
    }
    if (written < seconds * writesPerSecond * 0.9) console.error(`${variant}: only ${written} writes in ${seconds} s`)
    return written
  })
  let bytes = 0
  for (let number = 0; number < 1000; number++) {
    const { record } = applyChange(undefined, false, changeOf(number, true))
    bytes += record ? encodeRecord(record).length : 0
  }
  return {
    residentBytesBefore,
    bytesEach: bytes / 1000,
    sessionsLoaded: sessions,
    sessionsLeft: liveCount,
    load,
    churn,
  }
}

/** Runs a phase and measures it. `turn` performs so many writes in one turn of the event loop. */
async function observe(
  phase: (turn: (writes: number, write: () => void) => number) => Promise<number>,
): Promise<MemoryPhase> {
  let [callMs, turnCpuMs, collectionMs, collections, residentBytesMax] = [0, 0, 0, 0, 0]
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      collectionMs = Math.max(collectionMs, duration)
      collections++
    }
  })
  observer.observe({ entryTypes: ['gc'] })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const sampler = setInterval(() => (residentBytesMax = Math.max(residentBytesMax, process.memoryUsage.rss())), 100)
  await sleep(50)
  delay.enable()
  const before = process.cpuUsage()
  const writes = await phase((count, write) => {
    const { user, system } = process.threadCpuUsage()
    for (let index = 0; index < count; index++) {
      const start = performance.now()
      write()
      callMs = Math.max(callMs, performance.now() - start)
    }
    const used = process.threadCpuUsage({ user, system })
    turnCpuMs = Math.max(turnCpuMs, (used.user + used.system) / 1000)
    return count
  })
  const { user, system } = process.cpuUsage(before)
  delay.disable()
  await sleep(50) // the observer hears of collections in a later turn
  observer.disconnect()
  clearInterval(sampler)
  const stallMs = delay.max / 1e6
  globalThis.gc?.()
  await sleep(200)
  const residentBytes = process.memoryUsage.rss()
  return {
    residentBytes,
    residentBytesMax,
    stallMs,
    turnCpuMs,
    callMs,
    collectionMs,
    collections,
    cpuUs: (user + system) / writes,
  }
}

const [task] = (await once(process, 'message')) as [MemoryTask]
process.send?.(await perform(task))
