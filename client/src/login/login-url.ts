import { ClientError } from '../error.ts'

/** Where to log in, and the key of the CA that must vouch for it. */
export type LoginTarget = { url: string; pin?: Uint8Array }

const HEX = /^[0-9a-fA-F]{64}$/
const BASE64URL = /^[A-Za-z0-9_-]{43}$/

/** Reads `https://controller[/t/tenant][#sha256:<pin>]`. Throws ClientError `usage`. */
export function parseLoginUrl(text: string): LoginTarget {
  const [address = '', fragment] = text.split('#', 2)
  const url = URL.parse(/^[a-z]+:\/\//i.test(address) ? address : `https://${address}`)
  if (url === null || url.protocol !== 'https:' || url.username !== '' || url.password !== '' || url.search !== '') {
    throw new ClientError('usage', `"${text}" is not a login URL`, {
      hint: 'It looks like https://sallyport.example.com or https://10.0.0.5:8443#sha256:<pin>; ask your administrator.',
    })
  }
  const target = { url: `${url.origin}${url.pathname.replace(/\/+$/, '')}` }
  if (fragment === undefined) return target
  const pin = parsePin(fragment)
  if (pin === undefined) {
    throw new ClientError('usage', `"#${fragment}" is not a pin`, {
      hint: 'It looks like #sha256: and 64 hexadecimal digits or 43 characters of base64url.',
    })
  }
  return { ...target, pin }
}

function parsePin(fragment: string): Uint8Array | undefined {
  const text = /^sha256:(.+)$/i.exec(fragment)?.[1]
  if (text === undefined) return undefined
  if (HEX.test(text)) return new Uint8Array(Buffer.from(text, 'hex'))
  return BASE64URL.test(text) ? new Uint8Array(Buffer.from(text, 'base64url')) : undefined
}
