import { ControllerError } from '@sallyport/runtime'
import { describe, expect, it } from 'vitest'
import type { Declared, KubeObject } from './object.ts'
import { relayRowUids } from './plan/relay.ts'
import { groups, harness, nextVersion, object, settle, uidOf } from './reconciler.fixture.ts'

describe('a reconciler', () => {
  it('writes one status of a row and of what the Controller says of it, if that comes in time', async () => {
    const { clock, rows, store, api, begin } = harness()
    const { statuses } = api
    const [answered, unanswered] = groups(2) as [KubeObject, KubeObject]
    for (const one of [answered, unanswered]) store.put('Group', one)
    const reconciler = begin()
    await settle()
    expect([rows.all.size, statuses]).toEqual([2, []])
    const row = rows.all.get(uidOf(answered))!
    row.programming = 'unused'
    reconciler.controllerChanged({ rows: [row] })
    await settle()
    expect(statuses).toEqual(['Group group-0 Unused'])
    clock.advance(499)
    await settle()
    expect(statuses).toHaveLength(1)
    clock.advance(1)
    await settle()
    expect(statuses).toEqual(['Group group-0 Unused', 'Group group-1 Pending'])
  })

  it('does no further step once it is closed, neither of a removal nor of a plan', async () => {
    const { rows, begin } = harness()
    rows.add('group', 'a', 'b', 'c')
    const answer = Promise.withResolvers<void>()
    rows.deleting = answer.promise
    const reconciler = begin()
    await settle()
    expect(rows.deleted).toEqual(['a'])
    const closing = reconciler.close()
    answer.resolve()
    await closing
    expect(rows.deleted).toEqual(['a'])
  })

  it.each([
    [403, ['as asked']],
    [422, ['as asked']],
    [401, []],
    [408, []],
    [429, []],
    [500, []],
  ])('tells of a PUT that is answered with %i: %j', async (status, told) => {
    const { rows, store, begin } = harness()
    rows.client.put = () => Promise.reject(new ControllerError(status, { error: 'refused', message: 'as asked' }))
    const reconciler = begin()
    store.put('Group', object('Group', 'staff'))
    await settle()
    expect([...rows.refusals.values()]).toEqual(told)
    await reconciler.close()
  })

  it('forgets what was refused of any row of an object that has come to rest, or has gone', async () => {
    const { rows, store, begin } = harness()
    const spec = { replicas: 2, deployment: 'External', address: { list: ['r0.example:443', 'r1.example:443'] } }
    const [relay, group] = [object('Relay', 'edge', spec), object('Group', 'staff')]
    const reconciler = begin()
    const replica = relayRowUids(relay as unknown as Declared<'Relay'>)[1]!
    store.put('Relay', relay)
    await settle()
    rows.refusals.set(replica, 'the name was taken')
    store.put('Relay', { ...relay, metadata: { ...relay.metadata, resourceVersion: nextVersion() } })
    await settle()
    expect([...rows.refusals]).toEqual([])
    store.put('Group', group)
    await settle()
    rows.refusals.set(uidOf(group), 'not now')
    rows.refusals.set('another', 'not that')
    store.remove('Group', group, 'told')
    await settle()
    expect([...rows.refusals.keys()]).toEqual(['another'])
    await reconciler.close()
  })
})
