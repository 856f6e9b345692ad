import { BlockList, isIP } from 'node:net'
import { Secret } from './secret.ts'

/** An HTTP proxy that makes connections by CONNECT. */
export type HttpProxy = { secure: boolean; host: string; port: number; authorization?: Secret }

/** Which connections go through a proxy. */
export type ProxySettings = { proxy?: HttpProxy; exceptions: readonly ProxyException[] }
type ProxyException = { host: string; port?: number; covers(host: string): boolean }

/** No proxy for anything. */
export const NO_PROXY: ProxySettings = { exceptions: [] }

/**
 * Reads HTTPS_PROXY (empty: none) and NO_PROXY: names cover their subdomains; addresses, CIDRs and `*` are understood, each with a port or
 * without. Undefined when the URL is none.
 */
export function parseProxySettings(url: string, noProxy: string): ProxySettings | undefined {
  if (url === '') return NO_PROXY
  const parsed = URL.parse(url)
  if (parsed === null || !['http:', 'https:'].includes(parsed.protocol) || parsed.hostname === '') return undefined
  const secure = parsed.protocol === 'https:'
  const credentials = `${decodeURIComponent(parsed.username)}:${decodeURIComponent(parsed.password)}`
  return {
    proxy: {
      secure,
      host: bare(parsed.hostname),
      port: parsed.port === '' ? (secure ? 443 : 80) : Number(parsed.port),
      ...(credentials === ':'
        ? {}
        : { authorization: new Secret(`Basic ${Buffer.from(credentials).toString('base64')}`) }),
    },
    exceptions: noProxy
      .split(',')
      .map(entry => entry.trim().toLowerCase())
      .filter(entry => entry !== '')
      .map(exception),
  }
}

/** The proxy for a connection to `host`:`port`; undefined for a direct one. Loopback is always direct. */
export function proxyFor({ proxy, exceptions }: ProxySettings, host: string, port: number): HttpProxy | undefined {
  const name = bare(host.toLowerCase()).replace(/\.$/, '')
  if (proxy === undefined || name === 'localhost' || isLoopback(name)) return undefined
  const excepted = exceptions.some(one => (one.port === undefined || one.port === port) && one.covers(name))
  return excepted ? undefined : proxy
}

function exception(entry: string): ProxyException {
  const match = /^(\[.+\]|[^:]+):([0-9]+)$/.exec(entry)
  const host = bare(match?.[1] ?? entry).replace(/^\*?\.(?=.)/, '')
  const port = match === null ? {} : { port: Number(match[2]) }
  if (host === '*') return { host, ...port, covers: () => true }
  const [address, bits] = host.split('/')
  if (isIP(address!) !== 0) {
    const list = new BlockList()
    const family = isIP(address!) === 4 ? 'ipv4' : 'ipv6'
    const width = bits === undefined ? (family === 'ipv4' ? 32 : 128) : Number(bits)
    if (Number.isInteger(width) && width >= 0 && width <= (family === 'ipv4' ? 32 : 128)) {
      list.addSubnet(address!, width, family)
    }
    return { host, ...port, covers: name => isIP(name) !== 0 && list.check(name, isIP(name) === 4 ? 'ipv4' : 'ipv6') }
  }
  return { host, ...port, covers: name => name === host || name.endsWith(`.${host}`) }
}

const bare = (host: string) => (host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host)
const isLoopback = (name: string) => (isIP(name) === 4 && name.startsWith('127.')) || name === '::1'
