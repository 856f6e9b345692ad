const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const VALUES = new Int8Array(128).fill(-1)
for (let value = 0; value < 32; value++) {
  VALUES[ALPHABET.charCodeAt(value)] = value
  VALUES[ALPHABET.toUpperCase().charCodeAt(value)] = value
}

/** Writes bytes in base32 (RFC 4648), lower case, without padding. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += ALPHABET[(value >> bits) & 31]
    }
  }
  return bits === 0 ? text : text + ALPHABET[(value << (5 - bits)) & 31]
}

/**
 * Reads unpadded base32 in either case. Undefined when a character is not of the alphabet, when the length is
 * not that of whole bytes, or when left-over bits are not zero (so that each value has one text).
 */
export function decodeBase32(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8))
  if (Math.ceil((bytes.length * 8) / 5) !== text.length) return undefined
  let bits = 0
  let value = 0
  let at = 0
  for (let index = 0; index < text.length; index++) {
    const digit = VALUES[text.charCodeAt(index)] ?? -1
    if (digit < 0) return undefined
    value = ((value << 5) | digit) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = (value >> bits) & 255
    }
  }
  return (value & ((1 << bits) - 1)) === 0 ? bytes : undefined
}
