import { expect, it } from 'vitest'
import { parseLoginUrl } from '../login/login-url.ts'
import { parseDestination, parseForward } from './destination.ts'

it.each([
  ['db.internal:5432', 'db.internal', 5432],
  ['[fd00::1]:22', 'fd00::1', 22],
  ['10.0.0.5:1', '10.0.0.5', 1],
])('%s is a destination', (text, host, port) => {
  expect(parseDestination(text)).toEqual({ host, port })
})

it.each(['db.internal', 'db.internal:', ':22', 'db:0', 'db:65536', 'fd00::1:22', 'a b:22', 'db:22:23'])(
  '%s is none',
  text => {
    expect(() => parseDestination(text)).toThrow(expect.objectContaining({ code: 'usage' }))
  },
)

it.each([
  ['db.internal:5432', '127.0.0.1', 5432, 'db.internal', 5432],
  ['15432:db.internal:5432', '127.0.0.1', 15_432, 'db.internal', 5432],
  ['0:db.internal:5432', '127.0.0.1', 0, 'db.internal', 5432],
  ['127.0.0.2:80:web.internal:8080', '127.0.0.2', 80, 'web.internal', 8080],
  ['[::1]:80:[fd00::1]:8080', '::1', 80, 'fd00::1', 8080],
])('%s is a forward', (text, localHost, localPort, host, port) => {
  expect(parseForward(text)).toEqual({ local: { host: localHost, port: localPort }, to: { host, port } })
})

it.each(['db.internal', '5432:db.internal', 'x:db.internal:22', '70000:db.internal:22'])('%s is none', text => {
  expect(() => parseForward(text)).toThrow(expect.objectContaining({ code: 'usage' }))
})

const HEX = 'ab'.repeat(32)
const PIN = new Uint8Array(Buffer.from(HEX, 'hex'))
it.each([
  ['https://c.example', 'https://c.example', undefined],
  ['c.example/t/acme/', 'https://c.example/t/acme', undefined],
  [`https://10.0.0.5:8443#sha256:${HEX}`, 'https://10.0.0.5:8443', PIN],
  [`https://c.example#SHA256:${Buffer.from(PIN).toString('base64url')}`, 'https://c.example', PIN],
])('%s is a login URL', (text, url, pin) => {
  expect(parseLoginUrl(text)).toEqual(pin === undefined ? { url } : { url, pin })
})

it.each([
  'http://c.example',
  'https://u:p@c.example',
  'https://c.example?x=y',
  `https://c.example#${HEX}`,
  `https://c.example#sha256:${HEX}0`,
  '',
])('%s is none', text => {
  expect(() => parseLoginUrl(text)).toThrow(expect.objectContaining({ code: 'usage' }))
})
