import { ClientError } from '../error.ts'

export type Destination = { host: string; port: number }

const HOST = String.raw`(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))`
const DESTINATION = new RegExp(`^${HOST}:([0-9]{1,5})$`)
const FORWARD = new RegExp(`^(?:(?:${HOST}:)?([0-9]{1,5}):)?${HOST}:([0-9]{1,5})$`)

/** Reads HOST:PORT, an IPv6 address in brackets. Throws ClientError `usage`. */
export function parseDestination(text: string): Destination {
  const [, v6, name, digits] = DESTINATION.exec(text) ?? []
  const host = v6 ?? name
  if (host === undefined || !isPort(digits)) {
    throw new ClientError('usage', `"${text}" is not HOST:PORT`, {
      hint: 'It looks like db.internal:5432 or [fd00::1]:22.',
    })
  }
  return { host, port: Number(digits) }
}

/** Reads [[ADDRESS:]PORT:]HOST:PORT; the local port is that of the destination when absent, 0 for any. Throws ClientError `usage`. */
export function parseForward(text: string): { local: Destination; to: Destination } {
  const [, localV6, localName, localPort, v6, name, port] = FORWARD.exec(text) ?? []
  const host = v6 ?? name
  if (host === undefined || !isPort(port) || (localPort !== undefined && localPort !== '0' && !isPort(localPort))) {
    throw new ClientError('usage', `"${text}" is not a forward`, {
      hint: 'It looks like 5432:db.internal:5432, db.internal:5432 or 127.0.0.1:8000:web.internal:80.',
    })
  }
  return {
    local: { host: localV6 ?? localName ?? '127.0.0.1', port: Number(localPort ?? port) },
    to: { host, port: Number(port) },
  }
}

/** Writes host:port. */
export const formatDestination = ({ host, port }: Destination): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

const isPort = (digits: string | undefined) => Number(digits) >= 1 && Number(digits) <= 65_535
