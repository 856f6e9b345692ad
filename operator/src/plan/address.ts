/** What decides about a Node's address, as the API server has validated it. */
export type NodeFields = { status?: { addresses?: { type: string; address: string }[] } }

/** host:port, an IPv6 address in brackets. */
export const hostPort = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
