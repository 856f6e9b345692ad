// TLS alerts (RFC 8446, section 6.2) with which a Relay refuses a Client before any handshake. They are
// unauthenticated: a hint to refresh or to go elsewhere, never a reason to forget anything.

/** Refusals of a Relay: alert number, sentence, and what the Client may try. */
export const relayAlerts = {
  capability_refused: {
    alert: 49, // access_denied
    meaning: 'The Relay does not accept the capability.',
    hint: 'Fetch fresh capabilities, then try again.',
  },
  capability_expired: {
    alert: 45, // certificate_expired
    meaning: 'The capability has expired.',
    hint: 'Fetch fresh capabilities and check the clock, then try again.',
  },
  connector_unknown: {
    alert: 112, // unrecognized_name
    meaning: 'The Connector is not registered at this Relay.',
    hint: 'Try another Relay or another Connector.',
  },
  no_idle_socket: {
    alert: 80, // internal_error
    meaning: 'The Relay has no idle socket of the Connector.',
    hint: 'Try again, or another Relay.',
  },
} as const

export type RelayRefusal = keyof typeof relayAlerts

/** Writes the record of a fatal alert: 15 | 03 03 | 00 02 | 02 alert. */
export function encodeAlert(refusal: RelayRefusal): Uint8Array {
  return Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, relayAlerts[refusal].alert)
}

/** Names the refusal of an alert number; undefined for alerts that no Relay sends. */
export function refusalOfAlert(alert: number): RelayRefusal | undefined {
  const names = Object.keys(relayAlerts) as RelayRefusal[]
  return names.find(name => relayAlerts[name].alert === alert)
}
