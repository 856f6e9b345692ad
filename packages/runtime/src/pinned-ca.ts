import { createHash, type X509Certificate } from 'node:crypto'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { connectTcp, type DialOptions } from './dial.ts'
import { connectionError, RuntimeError } from './error.ts'

/** Longest chain that is looked through. */
const MAX_CHAIN = 8
const HANDSHAKE_TIMEOUT_MS = 10_000

/**
 * Fetches the CA certificate (PEM) whose key has the pin `pinSha256` (32 bytes: SHA-256 of its SubjectPublicKeyInfo) from the chain that the server shows.
 * Nothing else of that connection is used: trust begins with the next one, which is verified with this CA. Throws RuntimeError
 * `pin_mismatch` when no CA certificate of the chain has the key.
 */
export async function fetchPinnedCa(
  host: string,
  port: number,
  pinSha256: Uint8Array,
  options: DialOptions = {},
): Promise<string> {
  const tcp = await connectTcp(host, port, options)
  const socket = connectTls({
    socket: tcp,
    host,
    ...(/^[0-9.]+$/.test(host) || host.includes(':') ? {} : { servername: host }),
    // Only the pin decides here.
    rejectUnauthorized: false,
  })
  try {
    await secured(socket)
    for (const certificate of chainOf(socket)) {
      const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
      const hash = createHash('sha256').update(spki).digest()
      if (certificate.ca && hash.equals(pinSha256)) return certificate.toString()
    }
    throw new RuntimeError('pin_mismatch', `no CA certificate that ${host} shows has the pinned key`)
  } finally {
    socket.destroy()
  }
}

function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () =>
      socket.destroy(new RuntimeError('timeout', `no TLS handshake within ${HANDSHAKE_TIMEOUT_MS} ms`)),
    )
    socket.once('secureConnect', resolve)
    socket.on('error', error => reject(connectionError('TLS handshake', error)))
    socket.once('close', () => reject(new RuntimeError('connection_lost', 'closed before the TLS handshake was done')))
  })
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  let certificate = socket.getPeerX509Certificate()
  while (certificate !== undefined && chain.length < MAX_CHAIN) {
    chain.push(certificate)
    const { issuerCertificate } = certificate
    if (issuerCertificate?.fingerprint256 === certificate.fingerprint256) break
    certificate = issuerCertificate
  }
  return chain
}
