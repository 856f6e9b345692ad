import { fileURLToPath } from 'node:url'

export { type AccessMap, compileAccess, type Dropped, type GrantedResource } from './access/access-map.ts'
export { type DaemonConfig, readDaemonConfig } from './config.ts'
export { Daemon, type DaemonDeps, startDaemon } from './daemon/daemon.ts'
export { ClientError, type ClientErrorCode, clientErrors } from './error.ts'
export { buildProgram } from './program.ts'
export { cliReference } from './reference.ts'
export { VERSION } from './version.ts'

/** Path of the `sallyport` command, to be run by Node. */
export const CLI_PATH: string = fileURLToPath(new URL('./main.ts', import.meta.url))
