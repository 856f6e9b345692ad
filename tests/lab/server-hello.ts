const HANDSHAKE = 0x16
const SERVER_HELLO = 2
const SUPPORTED_VERSIONS = 0x002b
const KEY_SHARE = 0x0033

/** Version and key exchange group of each ServerHello that stands at the beginning of a chunk (RFC 8446, section 4.1.3). */
export function serverHellos(chunks: Buffer[]): { version: number; group: number }[] {
  return chunks.filter(chunk => chunk.length > 80 && chunk[0] === HANDSHAKE && chunk[5] === SERVER_HELLO).map(read)
}

function read(chunk: Buffer): { version: number; group: number } {
  // Record header 5, handshake header 4, legacy version 2, random 32; then the session id.
  let at = 5 + 4 + 2 + 32
  at += 1 + chunk[at]!
  at += 2 + 1
  const end = at + 2 + chunk.readUInt16BE(at)
  at += 2
  const found = { version: 0, group: 0 }
  while (at < end) {
    const type = chunk.readUInt16BE(at)
    if (type === SUPPORTED_VERSIONS) found.version = chunk.readUInt16BE(at + 4)
    if (type === KEY_SHARE) found.group = chunk.readUInt16BE(at + 4)
    at += 4 + chunk.readUInt16BE(at + 2)
  }
  return found
}
