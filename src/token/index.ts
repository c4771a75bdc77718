export * from './carrier.ts'
export * from './keyring.ts'
export * from './token.ts'
export * from './version.ts'
