/** A program that uses a Redis store and closes it: it must then end by itself. Its argument is the URL. */

import { changeOf, randomKey } from './changes.ts'
import { makeRedisStore } from './redis-support.ts'

const store = makeRedisStore({ url: process.argv[2] }, { deadlineMs: 200 })
try {
  await store.ready()
  await store.apply(changeOf(randomKey(), { create: true }))
  process.stdout.write('applied\n')
} catch (error) {
  process.stdout.write(`${String(error)}\n`)
}
await store.close()
