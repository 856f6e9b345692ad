import type { ConnectorId } from '@sallyport/schema'
import {
  TrustError,
  type TrustErrorCode,
  type VerifyKeys,
  verifyRelayAssertion,
  verifyRelayPass,
} from '@sallyport/trust'

/** What a Connector shows in order to be registered. */
export type RegistrationRequest = { pass: string; assertion: string }

/** What the Relay holds against it: its own name, the keys of passes, its challenge and the exporter of this TLS connection (base64url). */
export type RegistrationCheck = {
  relay: string
  passKeys: VerifyKeys
  nonce: string
  exporter: string
  nowMs: number
}

export type RegistrationVerdict =
  | { ok: true; connectorId: ConnectorId }
  | { ok: false; code: TrustErrorCode; message: string }

/** Decides whether the Connector holds its key on this very connection, and a pass for this Relay that was issued for that key. */
export function judgeRegistration(
  { pass, assertion }: RegistrationRequest,
  { relay, passKeys, nonce, exporter, nowMs }: RegistrationCheck,
): RegistrationVerdict {
  try {
    const { connectorId, jkt } = verifyRelayAssertion(assertion, { relay, nonce, exporter, nowMs })
    const { sub } = verifyRelayPass(pass, { keys: passKeys, relay, jkt, nowMs })
    if (sub === connectorId) return { ok: true, connectorId }
    return { ok: false, code: 'wrong_subject', message: 'relay pass speaks of another Connector' }
  } catch (error) {
    if (error instanceof TrustError) return { ok: false, code: error.code, message: error.message }
    throw error
  }
}
