// HTTP proxying (RFC 9110, section 9.3.6 for CONNECT; RFC 9112, section 3.2.2 for requests in absolute form).

/** Longest head of a request. */
export const MAX_HEAD_BYTES = 64 * 1024

/** A request to the proxy. `rest` begins behind the head; `head` is what goes to the origin, empty for CONNECT. */
export type ProxyRequest = { host: string; port: number; connect: boolean; head: string }

export type HttpRead =
  | { kind: 'more' }
  | { kind: 'done'; length: number; request: ProxyRequest }
  | { kind: 'malformed'; status: 400 | 405 | 431; message: string }

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Fields between a Client and its proxy only (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'proxy-authenticate',
  'upgrade',
  'te',
])

/** Reads the head of a request to a proxy. */
export function readProxyRequest(bytes: Uint8Array): HttpRead {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) {
    return text.length >= MAX_HEAD_BYTES ? refuse(431, `a head of more than ${MAX_HEAD_BYTES} bytes`) : { kind: 'more' }
  }
  if (end > MAX_HEAD_BYTES) return refuse(431, `a head of more than ${MAX_HEAD_BYTES} bytes`)
  const [start = '', ...fields] = text.slice(0, end).split('\r\n')
  const [method = '', target = '', version = '', ...more] = start.split(' ')
  if (!TOKEN.test(method) || !/^HTTP\/1\.[01]$/.test(version) || more.length > 0)
    return refuse(400, 'no HTTP/1.1 request')
  if (fields.some(field => !TOKEN.test(field.slice(0, Math.max(0, field.indexOf(':')))) || /[\0\r\n]/.test(field))) {
    return refuse(400, 'a malformed header field')
  }
  const length = end + 4
  if (method === 'CONNECT') {
    const to = authorityOf(target)
    if (to === undefined) return refuse(400, 'CONNECT wants host:port')
    return { kind: 'done', length, request: { ...to, connect: true, head: '' } }
  }
  return absolute(method, target, version, fields, length)
}

function absolute(method: string, target: string, version: string, fields: string[], length: number): HttpRead {
  const url = /^http:\/\//i.test(target) ? URL.parse(target) : null
  if (url === null)
    return refuse(target.startsWith('/') ? 400 : 405, 'this is a proxy: want CONNECT host:port, or an http:// URL')
  if (url.username !== '' || url.password !== '') return refuse(400, 'a URL with credentials')
  const kept = fields.filter(field => {
    const name = field.slice(0, field.indexOf(':')).toLowerCase()
    return !HOP_BY_HOP.has(name) && name !== 'host'
  })
  const path = target.slice(target.indexOf('/', 7) < 0 ? target.length : target.indexOf('/', 7)) || '/'
  const head = [
    `${method} ${path} ${version}`,
    `Host: ${url.host}`,
    ...kept,
    // One request per connection: the next one of the application may be for another host.
    'Connection: close',
    '\r\n',
  ].join('\r\n')
  const host = bare(url.hostname)
  return {
    kind: 'done',
    length,
    request: { host, port: url.port === '' ? 80 : Number(url.port), connect: false, head },
  }
}

function authorityOf(target: string): { host: string; port: number } | undefined {
  const [, v6, name, digits] = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})$/.exec(target) ?? []
  const host = v6 ?? name
  const port = Number(digits)
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port }
}

const bare = (host: string) => host.replace(/^\[(.*)\]$/, '$1')
const refuse = (status: 400 | 405 | 431, message: string): HttpRead => ({ kind: 'malformed', status, message })

const REASONS: Record<number, string> = {
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  407: 'Proxy Authentication Required',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  504: 'Gateway Timeout',
}

/** Answer to a CONNECT that succeeded. */
export const CONNECT_OK = 'HTTP/1.1 200 Connection established\r\n\r\n'

/** Writes a refusal with a body of one line. */
export function encodeRefusal(status: number, line: string): string {
  const body = `${line.replace(/[\r\n]+/g, ' ')}\n`
  return [
    `HTTP/1.1 ${status} ${REASONS[status] ?? 'Error'}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n')
}
