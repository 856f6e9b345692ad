import { createHash } from 'node:crypto'
import { chmodSync, lstatSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ClientError } from '../error.ts'

/** Longest path of a Unix socket, of Linux (108) and macOS (104), with its end. */
const MAX_SOCKET_PATH = 103

type Environment = Readonly<Record<string, string | undefined>>

/** State directory: `SALLYPORT_HOME`, else that of the platform. */
export function homeOf(environment: Environment): string {
  const { SALLYPORT_HOME, XDG_STATE_HOME } = environment
  if (SALLYPORT_HOME !== undefined && SALLYPORT_HOME !== '') return SALLYPORT_HOME
  if (XDG_STATE_HOME?.startsWith('/')) return join(XDG_STATE_HOME, 'sallyport')
  return join(environment.HOME ?? homedir(), '.local', 'state', 'sallyport')
}

/** Socket of the daemon of `home`. Throws ClientError when the path is too long for one. */
export function socketPath(home: string): string {
  if (process.platform === 'win32') {
    return `\\\\.\\pipe\\sallyport-${createHash('sha256').update(home).digest('hex').slice(0, 32)}`
  }
  const path = join(home, 'daemon.sock')
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new ClientError('unsafe_home', `${path} is too long for a socket`, {
      hint: 'Set SALLYPORT_HOME to a shorter path.',
    })
  }
  return path
}

/** Makes the state directory, for its owner only. Throws ClientError `unsafe_home` when it is somebody else's. */
export function prepareHome(home: string): void {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  if (process.platform === 'win32') return
  const { uid } = lstatSync(home)
  if (uid === process.getuid?.()) chmodSync(home, 0o700)
  checkHome(home)
}

/**
 * Makes sure that nobody else can stand behind the socket: the directory is a real one, its owner is who runs this, and it is closed to all
 * others. Throws ClientError `unsafe_home`.
 */
export function checkHome(home: string): void {
  if (process.platform === 'win32') return
  const found = lstatSync(home)
  if (!found.isDirectory()) throw new ClientError('unsafe_home', `${home} is not a directory`)
  if (found.uid !== process.getuid?.()) throw new ClientError('unsafe_home', `${home} belongs to another user`)
  if ((found.mode & 0o077) !== 0) {
    throw new ClientError('unsafe_home', `${home} is open to others (mode ${(found.mode & 0o777).toString(8)})`)
  }
}
