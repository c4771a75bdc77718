import { type OpenStore, storeContract } from './contract.ts'
import { makeMemoryStore } from './memory-support.ts'
import { usersContract } from './users-contract.ts'

async function open(): Promise<OpenStore> {
  const { store } = makeMemoryStore()
  await store.ready()
  return { store, close: () => store.close() }
}

storeContract('memoryStore', open)
usersContract('memoryStore', open, 'records')
