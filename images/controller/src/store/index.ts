export * from './database.ts'
export * from './lock.ts'
export * from './sqlite.ts'
export * from './store.ts'
