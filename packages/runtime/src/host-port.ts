/** Where to listen or to dial. */
export type HostPort = { host: string; port: number }

const SHAPE = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]*)):([0-9]{1,5})$/

/** Reads `host:port`, `[v6]:port` or `:port` (all addresses); undefined for anything else. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = SHAPE.exec(text)
  if (match === null) return undefined
  const port = Number(match[3])
  if (port > 65535) return undefined
  const host = match[1] ?? match[2] ?? ''
  return { host: host === '' ? '::' : host, port }
}

/** Reads `host:port` that has been checked by a schema. Throws TypeError for anything else. */
export function requireHostPort(text: string): HostPort {
  const parsed = parseHostPort(text)
  if (parsed === undefined) throw new TypeError(`"${text}" is not host:port`)
  return parsed
}

/** Writes `host:port`, an IPv6 address in brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
