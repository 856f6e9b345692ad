import { createPrivateKey, createPublicKey } from 'node:crypto'
import type { KeyPair } from './key.ts'

const example = {
  kty: 'EC',
  crv: 'P-256',
  d: 'ya-p2EW6dRZrXCFXZ7HWk05Qw9s26JsSe4piKxIPZyE',
  x: 'YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y',
  y: 'eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk',
}

/** Key of the example in RFC 6979, appendix A.2.5: known to everyone, for golden values in tests only. */
export const fixedKeys: KeyPair = {
  privateKey: createPrivateKey({ key: example, format: 'jwk' }),
  publicKey: createPublicKey({ key: example, format: 'jwk' }),
}
