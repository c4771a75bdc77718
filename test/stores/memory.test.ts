import { storeContract } from './contract.ts'
import { makeMemoryStore } from './memory-support.ts'

storeContract('memoryStore', async () => {
  const { store } = makeMemoryStore()
  await store.ready()
  return { store, close: () => store.close() }
})
