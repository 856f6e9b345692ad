import { signingKey } from '@sallyport/trust'
import { describe, expect, it } from 'vitest'
import { clientAcl, connectorAcl, DB, device, makeDevice, type NETWORK, NOW, rule, trust, WEB } from '../test/world.ts'
import { AccessState } from './access-state.ts'

const web = rule('web.internal', 443)
const until = NOW + 3_600_000

function serving(acl = connectorAcl({ [WEB]: web })) {
  const state = new AccessState(trust, undefined, NOW)
  state.takeAcl(acl, NOW)
  state.complete(1)
  return state
}

describe('the state of access', () => {
  it('serves with a complete Connector ACL, and not before', () => {
    const state = new AccessState(trust, undefined, NOW)
    expect(state.unservable(NOW)).toContain('no complete')
    state.takeAcl(connectorAcl({ [WEB]: web }), NOW)
    expect(state.unservable(NOW)).toContain('no complete')
    state.complete(1)
    expect(state.unservable(NOW)).toBeUndefined()
  })

  it('serves until the second at which its ACL ends', () => {
    const state = serving(connectorAcl({ [WEB]: web }, { lifeSeconds: 60 }))
    expect(state.unservable(NOW + 59_999)).toBeUndefined()
    expect(state.unservable(NOW + 60_000)).toBe('the Connector ACL has expired')
  })

  it.each([
    ['signed with another key', connectorAcl({}, { key: signingKey('connectorAcl') }), 'unknown_key'],
    ['for another network', connectorAcl({}, { network: WEB as typeof NETWORK }), 'wrong_audience'],
    ['that has expired', connectorAcl({}, { nowMs: NOW - 7_200_000 }), 'expired'],
    ['that is a Client ACL', clientAcl({ [WEB]: web }), 'wrong_type'],
  ])('refuses a Connector ACL %s, and keeps the one it has', (_, token, code) => {
    const state = serving()
    expect(() => state.takeAcl(token, NOW)).toThrow(expect.objectContaining({ code }))
    expect(state.rules.size).toBe(1)
  })

  it('does not go back to an older Connector ACL', () => {
    const state = serving(connectorAcl({ [WEB]: web }, { rev: 5 }))
    expect(state.takeAcl(connectorAcl({ [WEB]: web, [DB]: web }, { rev: 4 }), NOW)).toBe(false)
    expect(state.rules.size).toBe(1)
    expect(state.takeAcl(connectorAcl({ [WEB]: web, [DB]: web }, { rev: 6 }), NOW)).toBe(true)
    expect(state.rules.size).toBe(2)
  })
})

describe('a Client ACL', () => {
  it('counts when the holder of its key shows it', () => {
    const acl = serving().verifyClientAcl(clientAcl({ [WEB]: web }), device.jkt, NOW)
    expect(acl).toMatchObject({ device: device.id, user: 'user-1', rev: 1, endMs: NOW + 1_800_000 })
  })

  it.each([
    ['another device shows it', clientAcl({ [WEB]: web }), makeDevice().jkt, 'wrong_key'],
    ['it is signed with another key', clientAcl({}, { key: signingKey('clientAcl') }), device.jkt, 'unknown_key'],
    ['it is for another network', clientAcl({}, { network: DB as typeof NETWORK }), device.jkt, 'wrong_audience'],
    ["it is another tenant's", clientAcl({}, { tenant: 'other' }), device.jkt, 'wrong_issuer'],
    ['it has expired', clientAcl({}, { nowMs: NOW - 7_200_000 }), device.jkt, 'expired'],
    ['it is not valid yet', clientAcl({}, { nowMs: NOW + 60_000 }), device.jkt, 'clock_skew'],
    ['it is a Connector ACL', connectorAcl({ [WEB]: web }), device.jkt, 'wrong_type'],
  ])('does not count when %s', (_, token, jkt, code) => {
    expect(() => serving().verifyClientAcl(token, jkt, NOW)).toThrow(expect.objectContaining({ code }))
  })
})

describe('floors', () => {
  const floor = (rev: number, untilMs = until) => ({ device: device.id, rev, untilMs })

  it('revoke older revisions of one device, and no other', () => {
    const state = serving()
    expect(state.takeFloors([floor(7)], NOW)).toEqual([device.id])
    expect(state.isRevoked({ device: device.id, rev: 6 })).toBe(true)
    expect(state.isRevoked({ device: device.id, rev: 7 })).toBe(false)
    expect(state.isRevoked({ device: makeDevice().id, rev: 1 })).toBe(false)
  })

  it('never fall, not even by a complete list', () => {
    const state = serving()
    state.takeFloors([floor(7)], NOW)
    expect(state.takeFloors([floor(3)], NOW)).toEqual([])
    expect(state.takeFloors([], NOW)).toEqual([])
    expect(state.isRevoked({ device: device.id, rev: 6 })).toBe(true)
  })

  it('are forgotten when every token below them has expired', () => {
    const state = serving()
    state.takeFloors([floor(7, NOW + 1_000)], NOW)
    state.takeFloors([], NOW + 1_000)
    expect(state.isRevoked({ device: device.id, rev: 6 })).toBe(false)
  })
})

describe('after a restart without the Controller', () => {
  it('everything holds that held before: ACL, former rules, floors, revision', () => {
    const before = serving()
    before.takeAcl(connectorAcl({ [WEB]: rule('web.internal', 443, 8443) }, { rev: 2 }), NOW)
    before.takeFloors([{ device: device.id, rev: 9, untilMs: until }], NOW)
    before.complete(2)
    const saved = JSON.parse(JSON.stringify(before.save(NOW)))
    const after = new AccessState(trust, saved, NOW + 1_000)
    expect(after.unservable(NOW + 1_000)).toBeUndefined()
    expect(after.revision).toBe(2)
    expect(after.isRevoked({ device: device.id, rev: 8 })).toBe(true)
    expect(after.save(NOW + 1_000)).toEqual(saved)
    expect(saved.former).toHaveLength(1)
  })

  it('nothing is served by an ACL that has expired meanwhile, and floors still hold', () => {
    const before = serving(connectorAcl({ [WEB]: web }, { lifeSeconds: 60 }))
    before.takeFloors([{ device: device.id, rev: 9, untilMs: until }], NOW)
    const after = new AccessState(trust, before.save(NOW), NOW + 120_000)
    expect(after.unservable(NOW + 120_000)).toBeDefined()
    expect(after.revision).toBe(0)
    expect(after.isRevoked({ device: device.id, rev: 8 })).toBe(true)
  })

  it('nothing is served by an ACL that was changed on disk', () => {
    const saved = serving().save(NOW)
    const forged = { ...saved, acl: `${saved.acl!.slice(0, -4)}AAAA` }
    expect(new AccessState(trust, forged, NOW).unservable(NOW)).toBeDefined()
  })
})
