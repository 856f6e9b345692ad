import net from 'node:net'
import tls from 'node:tls'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeClientHello, readClientHello } from './client-hello.ts'
import { WireError } from './error.ts'

const random = new Uint8Array(32).fill(5)
const LONGEST = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`

describe('ClientHello', () => {
  it.each([
    [
      'with X25519MLKEM768',
      { servername: 'db.example.org', ecdhCurve: 'X25519MLKEM768:X25519' },
      'db.example.org',
      1_500,
    ],
    ['with X25519 only', { servername: 'db.example.org', ecdhCurve: 'X25519' }, 'db.example.org', 200],
    ['for TLS 1.2', { servername: 'db.example.org', maxVersion: 'TLSv1.2' }, 'db.example.org', 100],
    ['with the longest name', { servername: LONGEST }, LONGEST, 300],
    ['in capitals', { servername: 'DB.Example.org' }, 'db.example.org', 100],
    ['with ALPN', { servername: 'db.example.org', ALPNProtocols: ['sallyport/1'] }, 'db.example.org', 100],
    ['without a name', {}, undefined, 100],
  ] as [string, tls.ConnectionOptions, string | undefined, number][])(
    'of Node %s is read whole, from any part on asked for more',
    async (_name, options, serverName, atLeast) => {
      const hello = await captureHello(options)
      expect(hello.length).toBeGreaterThan(atLeast)
      expect(readClientHello(hello)).toEqual({ kind: 'hello', serverName, length: hello.length })
      for (let length = 0; length < hello.length; length++) {
        expect(readClientHello(hello.subarray(0, length))).toEqual({ kind: 'more' })
      }
      const followed = Uint8Array.from([...hello, 22, 3, 3])
      expect(readClientHello(followed)).toEqual({ kind: 'hello', serverName, length: hello.length })
    },
  )

  it('in many records is read as in one', async () => {
    const hello = await captureHello({ servername: 'db.example.org' })
    const split = inRecords(hello, 7)
    expect(readClientHello(split)).toEqual({ kind: 'hello', serverName: 'db.example.org', length: split.length })
  })

  it.each([
    ['HTTP', bytes('GET / HTTP/1.1\r\n'), 'not_tls'],
    ['SSL 2', Uint8Array.of(0x80, 0x2e, 1), 'not_tls'],
    ['an alert', Uint8Array.of(21, 3, 3, 0, 2, 2, 40), 'not_tls'],
    ['an empty record', Uint8Array.of(22, 3, 1, 0, 0), 'not_tls'],
    ['a ServerHello', Uint8Array.of(22, 3, 3, 0, 4, 2, 0, 0, 0), 'not_client_hello'],
    ['a record that announces more than 8 KiB', Uint8Array.of(22, 3, 1, 0x20, 0), 'too_long'],
    ['a message that announces more than 8 KiB', Uint8Array.of(22, 3, 1, 0, 4, 1, 0, 0x20, 0), 'too_long'],
    ['a record that is not a handshake in the middle', Uint8Array.of(22, 3, 1, 0, 1, 1, 23), 'not_tls'],
    ['a hello that ends early', Uint8Array.of(22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 3), 'bad_field'],
  ])('%s is refused', (_name, input, code) => {
    expect(readClientHello(input)).toEqual({ kind: 'malformed', code })
  })

  it('two server names are refused, as is a name with odd characters', () => {
    const hello = encodeClientHello('aaaa.example', random)
    const at = hello.findIndex((_, index) => hello[index] === 97 && hello[index + 3] === 97)
    const odd = hello.slice()
    odd[at] = 0
    expect(readClientHello(odd)).toEqual({ kind: 'malformed', code: 'bad_server_name' })
    const twice = hello.slice()
    // supported_groups becomes a second server_name
    const groups =
      hello.length -
      hello
        .slice()
        .reverse()
        .findIndex((_, index, all) => all[index] === 10 && all[index + 1] === 0) -
      2
    twice[groups + 1] = 0
    expect(readClientHello(twice)).toEqual({ kind: 'malformed', code: 'bad_field' })
  })

  it('the envelope of a Connector is read by the same reader', () => {
    const hello = encodeClientHello(LONGEST, random)
    expect(readClientHello(hello)).toEqual({ kind: 'hello', serverName: LONGEST, length: hello.length })
    expect(() => encodeClientHello(`${LONGEST}e`, random)).toThrow(WireError)
  })

  it('the envelope of a Connector is a ClientHello to OpenSSL too', async () => {
    const seen = await serverNameSeen(encodeClientHello('slot.example.org', random))
    expect(seen).toBe('slot.example.org')
  })

  it('garbage and flipped bytes never throw', () => {
    const hello = encodeClientHello('db.example.org', random)
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.array(fc.nat(hello.length - 1)),
        fc.nat(255),
        (tail, at, byte) => {
          const flipped = hello.slice()
          for (const index of at) flipped[index] = byte
          expect(readClientHello(flipped).kind).toMatch(/more|hello|malformed/)
          expect(readClientHello(tail).kind).toMatch(/more|hello|malformed/)
          expect(readClientHello(Uint8Array.from([22, 3, 1, ...tail])).kind).toMatch(/more|hello|malformed/)
        },
      ),
    )
  })
})

/** The bytes that Node sends first with these options. */
async function captureHello(options: tls.ConnectionOptions): Promise<Uint8Array> {
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  const captured = new Promise<Uint8Array>(resolve => {
    server.once('connection', socket => {
      const chunks: Uint8Array[] = []
      socket.on('error', () => {})
      socket.on('data', chunk => {
        chunks.push(chunk)
        const all = Uint8Array.from(Buffer.concat(chunks))
        if (all.length < 5 || all.length < 5 + ((all[3]! << 8) | all[4]!)) return
        socket.destroy()
        resolve(all)
      })
    })
  })
  const client = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  client.on('error', () => {})
  const hello = await captured
  client.destroy()
  server.close()
  return hello
}

/** The server name that OpenSSL reads from `hello`. */
async function serverNameSeen(hello: Uint8Array): Promise<string> {
  return await new Promise(resolve => {
    const server = tls.createServer({ SNICallback: name => resolve(name) })
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo
      const socket = net.connect(port, '127.0.0.1', () => socket.write(hello))
      socket.on('error', () => {})
      server.unref()
      socket.unref()
    })
  })
}

/** The same handshake in records of `length` bytes. */
function inRecords(hello: Uint8Array, length: number): Uint8Array {
  const payload = hello.subarray(5)
  const records: number[] = []
  for (let at = 0; at < payload.length; at += length) {
    const fragment = payload.subarray(at, at + length)
    records.push(22, 3, 1, fragment.length >> 8, fragment.length & 255, ...fragment)
  }
  return Uint8Array.from(records)
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
