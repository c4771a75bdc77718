import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type NodeProcess, startNode } from '../support/processes.ts'
import { changeOf, fieldsOf, randomKey, tombstoneOf } from './changes.ts'
import { openSqliteStore, temporaryDatabase } from './sqlite-support.ts'
import type { WorkerTask } from './sqlite-worker.ts'

const worker = new URL('sqlite-worker.ts', import.meta.url)

/** Starts workers on one file at once, and waits until all have opened it. */
async function startWorkers(path: string, count: number): Promise<NodeProcess[]> {
  const workers = Array.from({ length: count }, () => startNode(worker, { args: [path] }))
  for (const each of workers) assert.deepEqual(await each.receive(), { kind: 'ready' })
  return workers
}

async function tell(process: NodeProcess, task: WorkerTask): Promise<void> {
  await process.send(task)
}

describe('sqliteStore in several processes', () => {
  it('loses none of the increments that four processes make by stamp, on a file that all four made', async () => {
    const path = temporaryDatabase()
    const workers = await startWorkers(path, 4)
    const store = await openSqliteStore(path)
    const key = randomKey()
    await store.apply(changeOf(key, { create: true }))
    await Promise.all(workers.map((each) => tell(each, { kind: 'increment', key, times: 100 })))
    const answers = (await Promise.all(workers.map((each) => each.receive()))) as { kind: string; conflicts: number }[]
    for (const { kind } of answers) assert.equal(kind, 'incremented')
    const record = await store.read(key)
    assert.equal(record?.fields.get('count')?.value, '400')
    assert.equal(record?.version.sequence, 401)
    await store.close()
    await Promise.all(workers.map((each) => each.kill()))
  })

  it('keeps what was acknowledged when the process that wrote it is killed, and serves the others on', async () => {
    const path = temporaryDatabase()
    const store = await openSqliteStore(path)
    const [writer] = await startWorkers(path, 1)
    assert(writer)
    for (let round = 0; round < 3; round += 1) {
      const key = randomKey()
      await store.apply(changeOf(key, { create: true }))
      const writing = round === 0 ? writer : (await startWorkers(path, 1))[0]
      assert(writing)
      await tell(writing, { kind: 'write', key })
      let acknowledged = -1
      while (acknowledged < 20) {
        const message = (await writing.receive()) as { index: number; outcome: string }
        assert.equal(message.outcome, 'applied')
        acknowledged = message.index
      }
      await writing.kill('SIGKILL')
      const record = await store.read(key)
      for (let index = 0; index <= acknowledged; index += 1)
        assert(record?.fields.has(`field-${index}`), `field-${index}`)
      assert.equal((await store.apply(changeOf(key, { fields: fieldsOf({ after: '1' }) }))).outcome, 'applied')
      assert.equal(await store.end(tombstoneOf(key)), 'ended')
    }
    await store.close()
  })

  it('has after a kill of its only process what was acknowledged', async () => {
    const path = temporaryDatabase()
    const key = randomKey()
    const first = await openSqliteStore(path)
    await first.apply(changeOf(key, { create: true }))
    await first.close()
    const [writer] = await startWorkers(path, 1)
    assert(writer)
    await tell(writer, { kind: 'write', key })
    await writer.receive()
    await writer.kill('SIGKILL')
    const store = await openSqliteStore(path)
    assert((await store.read(key))?.fields.has('field-0'))
    await store.close()
  })

  it('prints nothing on the terminal of a process that uses it, and lets the process end by itself', async () => {
    const [user] = await startWorkers(temporaryDatabase(), 1)
    assert(user)
    await tell(user, { kind: 'close' })
    assert.deepEqual(await user.exited, { code: 0, signal: null })
    assert.equal(user.output, '')
  })
})
