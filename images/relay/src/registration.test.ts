import {
  connectorIdOf,
  createControllerAssertion,
  createRelayAssertion,
  generateKeyPair,
  issueRelayPass,
  publicJwk,
  signingKey,
  thumbprintOf,
  verifyKeys,
} from '@sallyport/trust'
import { describe, expect, it } from 'vitest'
import { judgeRegistration } from './registration.ts'

const NOW = 1_700_000_000_000
const keys = generateKeyPair()
const other = generateKeyPair()
const passKey = signingKey('relayPass')
const check = {
  relay: 'relay-a.example',
  passKeys: verifyKeys({ keys: [publicJwk(passKey.publicKey)] }),
  nonce: 'nonce',
  exporter: 'exporter',
  nowMs: NOW,
}
const binding = { relay: check.relay, nonce: check.nonce, exporter: check.exporter }
const good = { pass: pass(), assertion: assertion() }

describe('a registration', () => {
  it('is accepted with a pass for the key that is proved on this connection', () => {
    expect(judgeRegistration(good, check)).toEqual({ ok: true, connectorId: connectorIdOf(keys.publicKey) })
  })

  it.each([
    ['an assertion for another Relay', { assertion: assertion({ relay: 'relay-b.example' }) }, 'wrong_audience'],
    ['an assertion that answers another challenge', { assertion: assertion({ nonce: 'other' }) }, 'wrong_nonce'],
    ['an assertion of another connection', { assertion: assertion({ exporter: 'other' }) }, 'wrong_connection'],
    ['an assertion for the Controller', { assertion: createControllerAssertion(keys, NOW) }, 'wrong_audience'],
    ['an expired assertion', { assertion: createRelayAssertion(keys, binding, NOW - 91_000) }, 'expired'],
    ['an assertion from the future', { assertion: createRelayAssertion(keys, binding, NOW + 31_000) }, 'clock_skew'],
    ['an assertion of another key', { assertion: createRelayAssertion(other, binding, NOW) }, 'wrong_key'],
    ['a pass for another Relay', { pass: pass({ relay: 'relay-b.example' }) }, 'wrong_audience'],
    ['a pass of another Connector', { pass: pass({ connectorId: connectorIdOf(other.publicKey) }) }, 'wrong_subject'],
    ['a pass bound to another key', { pass: pass({ jkt: thumbprintOf(other.publicKey) }) }, 'wrong_key'],
    ['an expired pass', { pass: pass({}, { nowMs: NOW - 3_631_000 }) }, 'expired'],
    ['a pass of another signer', { pass: pass({}, { signer: signingKey('relayPass') }) }, 'unknown_key'],
    ['a pass in place of the assertion', { assertion: good.pass }, 'wrong_type'],
    ['an assertion in place of the pass', { pass: good.assertion }, 'wrong_type'],
    ['text that is no token', { pass: 'x.y.z' }, 'malformed'],
  ])('is refused with %s', (_name, change, code) => {
    expect(judgeRegistration({ ...good, ...change }, check)).toMatchObject({ ok: false, code })
  })
})

function pass(change: object = {}, { nowMs = NOW, signer = passKey } = {}): string {
  const content = { connectorId: connectorIdOf(keys.publicKey), jkt: thumbprintOf(keys.publicKey), relay: check.relay }
  return issueRelayPass(signer, { ...content, ...change }, { nowMs, lifeSeconds: 3600 })
}

function assertion(change: object = {}): string {
  return createRelayAssertion(keys, { ...binding, ...change }, NOW)
}
