import { type ConnectorId, PASS_ISSUER, parser, RelayPassClaims, relayAudience, TokenType } from '@sallyport/schema'
import { TrustError } from './error.ts'
import { type ClockCheck, signWithKey, verifyWithKeys } from './jws.ts'
import { type Life, timesOf } from './life.ts'
import type { SigningKey, VerifyKeys } from './signing-key.ts'

const claims = parser(RelayPassClaims)

/** Signs a relay pass: it names a Connector and its key, and neither tenant nor network. */
export function issueRelayPass(
  key: SigningKey<'relayPass'>,
  { connectorId, jkt, relay }: { connectorId: ConnectorId; jkt: string; relay: string },
  life: Life,
): string {
  const names = { iss: PASS_ISSUER, sub: connectorId, aud: relayAudience(relay) }
  return signWithKey(TokenType.relayPass, { ...names, ...timesOf(life), cnf: { jkt } }, key)
}

/** Verifies a pass for the Relay named `relay`, bound to the proved key `jkt`. Throws TrustError. */
export function verifyRelayPass(
  token: string,
  check: ClockCheck & { keys: VerifyKeys; relay: string; jkt: string },
): RelayPassClaims {
  const pass = verifyWithKeys(token, check.keys, {
    ...check,
    type: TokenType.relayPass,
    issuer: PASS_ISSUER,
    audience: relayAudience(check.relay),
    claims,
  })
  if (pass.cnf.jkt !== check.jkt) throw new TrustError('wrong_key', 'relay pass is bound to another key')
  return pass
}
