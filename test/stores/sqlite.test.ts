import { storeContract } from './contract.ts'
import { openSqliteStore, temporaryDatabase } from './sqlite-support.ts'

storeContract('sqliteStore', async () => {
  const store = await openSqliteStore(temporaryDatabase())
  return { store, close: () => store.close() }
})
