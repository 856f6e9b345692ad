import { describe, expect, it } from 'vitest'
import { ProgrammingTracker } from './programming.ts'

const office = new Set(['office'])

describe('a Resource', () => {
  it('is programmed when every Connector then connected has acknowledged it', () => {
    const tracker = new ProgrammingTracker()
    expect(tracker.changed('web', 5, office, { connected: ['a', 'b'], unused: false })).toBe('pending')
    expect([...tracker.acknowledged('a', 'office', 5)]).toEqual([])
    expect([...tracker.acknowledged('b', 'office', 4)]).toEqual([])
    expect([...tracker.acknowledged('b', 'office', 6)]).toEqual([['web', 'programmed']])
    expect([...tracker.disconnected('a')]).toEqual([])
  })

  it('does not wait for a Connector that is gone, but for one of those that remain', () => {
    const tracker = new ProgrammingTracker()
    tracker.changed('web', 5, office, { connected: ['a', 'b'], unused: false })
    expect([...tracker.disconnected('a')]).toEqual([])
    expect([...tracker.acknowledged('b', 'office', 5)]).toEqual([['web', 'programmed']])
  })

  it('has no Connector when all have gone without a word, until one comes and acknowledges', () => {
    const tracker = new ProgrammingTracker()
    tracker.changed('web', 5, office, { connected: ['a'], unused: false })
    expect([...tracker.disconnected('a')]).toEqual([['web', 'noConnector']])
    expect([...tracker.acknowledged('z', 'lab', 9)]).toEqual([])
    expect([...tracker.acknowledged('b', 'office', 5)]).toEqual([['web', 'programmed']])
  })

  it('is programmed when the last one that had to acknowledge is gone and another one has', () => {
    const tracker = new ProgrammingTracker()
    tracker.changed('web', 5, office, { connected: ['a', 'b'], unused: false })
    tracker.acknowledged('a', 'office', 5)
    expect([...tracker.disconnected('b')]).toEqual([['web', 'programmed']])
  })
})

describe('a Group', () => {
  it('that nothing names is unused and waits for nobody', () => {
    const tracker = new ProgrammingTracker()
    expect(tracker.changed('staff', 5, new Set(), { connected: [], unused: true })).toBe('unused')
    expect([...tracker.acknowledged('a', 'office', 9)]).toEqual([])
  })
})
