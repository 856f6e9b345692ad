// The types of node-forge describe its main module only; that one takes 40 ms to load, its ASN.1 alone 8.
declare module 'node-forge/lib/asn1.js' {
  import type forge from 'node-forge'

  const asn1: typeof forge.asn1
  export default asn1
}
