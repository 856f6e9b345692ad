import type { Destination } from '@sallyport/policy'
import type { ResourceId, ResourceRule } from '@sallyport/schema'
import { describe, expect, it } from 'vitest'
import { clientAcl, connectorAcl, DB, device, NOW, rule, trust, WEB } from '../test/world.ts'
import { AccessState } from './access-state.ts'
import { type LiveStream, SessionAccess } from './session-access.ts'

const web = rule('web.internal', 443)
const wider = rule('web.internal', 443, 8443)

const to = (host: string, port: number, resource = WEB): Destination => ({
  resource: resource as ResourceId,
  host,
  port,
  protocol: 'tcp',
})

function session(own: Record<string, ResourceRule>, granted: Record<string, ResourceRule>, endMs?: number) {
  const state = new AccessState(trust, undefined, NOW)
  state.takeAcl(connectorAcl(own), NOW)
  state.complete(1)
  const acl = state.verifyClientAcl(clientAcl(granted, endMs === undefined ? {} : { endMs }), device.jkt, NOW)
  const access = new SessionAccess(state, acl)
  const open = (destination: Destination) => {
    const verdict = access.judge(destination, NOW)
    if (verdict.kind !== 'allow') throw new Error(verdict.code)
    const cuts: string[] = []
    const live: LiveStream = { destination, endMs: verdict.decision.endMs, cut: code => cuts.push(code) }
    access.add(live)
    return { cuts, live }
  }
  return { state, access, open }
}

describe('a new stream', () => {
  const both = session(
    { [WEB]: web, [DB]: rule('*.db.internal', 5432) },
    { [WEB]: web, [DB]: rule('*.db.internal', 5432) },
  )
  const table: [name: string, access: SessionAccess, destination: Destination, wanted: string][] = [
    ['in both lists is allowed', both.access, to('web.internal', 443), 'allow'],
    ['whatever the case and the trailing dot', both.access, to('WEB.internal.', 443), 'allow'],
    ['one past the port is not', both.access, to('web.internal', 444), 'deny port_not_granted'],
    ['to another host is not', both.access, to('other.internal', 443), 'deny denied'],
    ['under a wildcard is allowed', both.access, to('a.db.internal', 5432, DB), 'allow'],
    ['to the apex of a wildcard is not', both.access, to('db.internal', 5432, DB), 'deny denied'],
    ['to a name that only ends alike is not', both.access, to('evildb.internal', 5432, DB), 'deny denied'],
    ['that the Client lacks is not', session({ [WEB]: web }, {}).access, to('web.internal', 443), 'deny not_granted'],
    [
      'that the Connector lacks waits for its update',
      session({}, { [WEB]: web }).access,
      to('web.internal', 443),
      'later acl_mismatch',
    ],
    [
      'with a rule that the Connector does not know waits for its update',
      session({ [WEB]: web }, { [WEB]: wider }).access,
      to('web.internal', 443),
      'later acl_mismatch',
    ],
  ]
  for (const [name, access, destination, wanted] of table) {
    it(name, () => {
      const verdict = access.judge(destination, NOW)
      expect(verdict.kind === 'allow' ? 'allow' : `${verdict.kind} ${verdict.code}`).toBe(wanted)
    })
  }

  it('is allowed until the second at which the grant ends', () => {
    const { access } = session({ [WEB]: web }, { [WEB]: web }, NOW + 10_000)
    expect(access.judge(to('web.internal', 443), NOW + 9_999).kind).toBe('allow')
    expect(access.judge(to('web.internal', 443), NOW + 10_000)).toEqual({ kind: 'deny', code: 'expired' })
  })

  it('waits under a floor, for only a newer list can help', () => {
    const { state, access } = session({ [WEB]: web }, { [WEB]: web })
    state.takeFloors([{ device: device.id, rev: 2, untilMs: NOW + 60_000 }], NOW)
    expect(access.judge(to('web.internal', 443), NOW)).toEqual({ kind: 'later', code: 'revoked' })
    const newer = state.verifyClientAcl(clientAcl({ [WEB]: web }, { rev: 2 }), device.jkt, NOW)
    expect(access.takeAcl(newer)).toBe(true)
    expect(access.judge(to('web.internal', 443), NOW).kind).toBe('allow')
  })

  it('is refused by everyone when the Connector’s own list has ended', () => {
    const { access } = session({ [WEB]: web }, { [WEB]: web })
    expect(access.judge(to('web.internal', 443), NOW + 3_600_000)).toEqual({ kind: 'deny', code: 'expired' })
  })
})

describe('a live stream', () => {
  it('goes on when the rule is widened, with the old digest in the Client’s list', () => {
    const { state, access, open } = session({ [WEB]: web }, { [WEB]: web })
    const stream = open(to('web.internal', 443))
    state.takeAcl(connectorAcl({ [WEB]: wider }, { rev: 2 }), NOW)
    expect(access.rejudge(NOW)).toBe(0)
    expect(stream.cuts).toEqual([])
    // And new ones are allowed by the former rule, while what it never allowed is not.
    expect(access.judge(to('web.internal', 443), NOW).kind).toBe('allow')
    expect(access.judge(to('web.internal', 8443), NOW)).toEqual({ kind: 'deny', code: 'port_not_granted' })
  })

  it('is cut by a narrower rule that forbids it, and no other is', () => {
    const { state, access, open } = session({ [WEB]: wider }, { [WEB]: wider })
    const [kept, forbidden] = [open(to('web.internal', 443)), open(to('web.internal', 8443))]
    state.takeAcl(connectorAcl({ [WEB]: web }, { rev: 2 }), NOW)
    expect(access.rejudge(NOW)).toBe(1)
    expect([kept.cuts, forbidden.cuts]).toEqual([[], ['revoked']])
    expect(access.rejudge(NOW)).toBe(0)
  })

  it('is cut when its Resource is no longer granted, and others go on with the new list', () => {
    const { state, access, open } = session({ [WEB]: web, [DB]: web }, { [WEB]: web, [DB]: web })
    const [gone, kept] = [open(to('web.internal', 443)), open(to('web.internal', 443, DB))]
    state.takeFloors([{ device: device.id, rev: 2, untilMs: NOW + 60_000 }], NOW)
    access.takeAcl(state.verifyClientAcl(clientAcl({ [DB]: web }, { rev: 2 }), device.jkt, NOW))
    access.rejudge(NOW)
    expect([gone.cuts, kept.cuts]).toEqual([['revoked'], []])
  })

  it('is cut when its list is below a floor and no newer one has come', () => {
    const { state, access, open } = session({ [WEB]: web }, { [WEB]: web })
    const stream = open(to('web.internal', 443))
    state.takeFloors([{ device: device.id, rev: 2, untilMs: NOW + 60_000 }], NOW)
    access.rejudge(NOW)
    expect(stream.cuts).toEqual(['revoked'])
  })

  it('ends at the second of its grant, of the list, or of the Connector’s own list', () => {
    const grant = session({ [WEB]: web }, { [WEB]: web }, NOW + 10_000)
    const stream = grant.open(to('web.internal', 443))
    expect(grant.access.nextEndMs).toBe(NOW + 10_000)
    expect(grant.access.rejudge(NOW + 9_999)).toBe(0)
    grant.access.rejudge(NOW + 10_000)
    expect(stream.cuts).toEqual(['expired'])
    expect(grant.access.nextEndMs).toBe(Number.POSITIVE_INFINITY)

    const list = session({ [WEB]: web }, { [WEB]: web })
    list.open(to('web.internal', 443))
    expect(list.access.nextEndMs).toBe(NOW + 1_800_000)
  })

  it('lives on with a renewed list, whose end counts from then on', () => {
    const { state, access, open } = session({ [WEB]: web }, { [WEB]: web })
    const stream = open(to('web.internal', 443))
    const renewed = clientAcl({ [WEB]: web }, { nowMs: NOW + 600_000 })
    expect(access.takeAcl(state.verifyClientAcl(renewed, device.jkt, NOW + 600_000))).toBe(true)
    expect(access.rejudge(NOW + 600_000)).toBe(0)
    expect(access.nextEndMs).toBe(NOW + 2_400_000)
    expect(stream.cuts).toEqual([])
  })

  it('is not judged by a list that is older, or another device’s', () => {
    const { state, access } = session({ [WEB]: web }, { [WEB]: web })
    const newer = state.verifyClientAcl(clientAcl({}, { rev: 3 }), device.jkt, NOW)
    expect(access.takeAcl(newer)).toBe(true)
    expect(access.takeAcl(state.verifyClientAcl(clientAcl({ [WEB]: web }, { rev: 2 }), device.jkt, NOW))).toBe(false)
    expect(access.acl.rev).toBe(3)
  })
})
