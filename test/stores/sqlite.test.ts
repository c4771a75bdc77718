import { type OpenStore, storeContract } from './contract.ts'
import { openSqliteStore, temporaryDatabase } from './sqlite-support.ts'
import { usersContract } from './users-contract.ts'

async function open(): Promise<OpenStore> {
  const store = await openSqliteStore(temporaryDatabase())
  return { store, close: () => store.close() }
}

storeContract('sqliteStore', open)
usersContract('sqliteStore', open, 'records')
