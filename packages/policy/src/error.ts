/** What can be wrong with a declared address, alias, port range or protocol. */
export const policyErrorCodes = {
  bad_address: 'It is neither a DNS name, nor a wildcard name, nor an IP address, nor a CIDR.',
  host_bits: 'The CIDR has bits set beyond its prefix.',
  bad_alias: 'It is not an exact DNS name.',
  alias_without_target: 'A wildcard or CIDR is many destinations, so an alias of it would name none.',
  bad_ports: 'A port range ends before it starts.',
} as const

export type PolicyErrorCode = keyof typeof policyErrorCodes

/** The one error that declared values can cause in this package; the message is for the person who declared them. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError'
  readonly code: PolicyErrorCode

  constructor(code: PolicyErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
