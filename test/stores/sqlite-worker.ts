/** A process with a store of its own on the file that it is told, for tests of several processes on one file. */

import { setTimeout } from 'node:timers/promises'
import { changeOf, createNode, fieldsOf } from './changes.ts'
import { openSqliteStore } from './sqlite-support.ts'

/** What a worker is told to do. It answers each with one message, but for `write`, which it answers at each change until it is killed. */
export type WorkerTask =
  | { kind: 'increment'; key: string; times: number }
  | { kind: 'write'; key: string }
  | { kind: 'close' }

const [path = ''] = process.argv.slice(2)
const store = await openSqliteStore(path, { deadlineMs: 20_000 })
const node = createNode()

process.on('message', (task: WorkerTask) => {
  const work = { increment, write, close }[task.kind]
  void work(task as never).then((answer) => answer && process.send?.(answer))
})
process.send?.({ kind: 'ready' })

/** Adds 1 so many times, each by a change that holds only if nobody else changed the field since it was read. */
async function increment({ key, times }: { key: string; times: number }): Promise<object> {
  let conflicts = 0
  for (let done = 0; done < times;) {
    const field = (await store.read(key))?.fields.get('count')
    const fields = fieldsOf({ count: `${Number(field?.value ?? 0) + 1}` })
    const change = changeOf(key, {
      operation: node.next(),
      expect: { field: 'count', stamp: field?.stamp ?? null },
      fields,
    })
    const { outcome } = await store.apply(change)
    if (outcome === 'applied') done += 1
    else if (outcome === 'conflict') conflicts += 1
    else throw new Error(outcome)
    if (done % 10 === 0) await setTimeout(0)
  }
  return { kind: 'incremented', conflicts }
}

/** Writes one field after the other and says each that was acknowledged. */
async function write({ key }: { key: string }): Promise<object> {
  for (let index = 0; ; index += 1) {
    const fields = fieldsOf({ [`field-${index}`]: JSON.stringify('x'.repeat(1_000)) })
    const { outcome } = await store.apply(changeOf(key, { operation: node.next(), fields }))
    process.send?.({ kind: 'written', index, outcome })
    await setTimeout(0)
  }
}

/** Leaves nothing that keeps the process, if the store leaves nothing. */
async function close(): Promise<void> {
  await store.close()
  process.disconnect()
}
