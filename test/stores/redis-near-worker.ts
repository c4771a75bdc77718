/** A node in a process of its own. Argument: the address of Redis. Answers each message `{ key }` with what it serves of that session. */

import { makeRedisStore } from './redis-support.ts'

const store = makeRedisStore({ url: process.argv[2] })
await store.ready()
process.on('message', ({ key }: { key: string }) => {
  const copy = store.copy?.(key)?.version.sequence ?? null
  void store.read(key).then(
    (record) => process.send?.({ copy, read: record?.version.sequence ?? null }),
    (error: Error) => process.send?.({ copy, read: error.name }),
  )
})
process.send?.('ready')
