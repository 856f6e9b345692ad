import { FakeClock } from '@sallyport/runtime'
import { describe, expect, it } from 'vitest'
import { ControllerLoss } from './controller-loss.ts'

function watched() {
  const clock = new FakeClock()
  const seen = { expired: 0 }
  return { clock, seen, loss: new ControllerLoss(clock, () => seen.expired++) }
}

describe('the loss of the Controller', () => {
  it('closes everything after the seconds that the network allows, to the second', () => {
    const { clock, seen, loss } = watched()
    loss.lost({ mode: 'closeAfter', seconds: 30 })
    clock.advance(29_999)
    expect(loss.expired).toBe(false)
    clock.advance(1)
    expect(loss.expired).toBe(true)
    expect(seen.expired).toBe(1)
  })

  it('is counted from its beginning, however many attempts fail', () => {
    const { clock, loss } = watched()
    for (let i = 0; i < 6; i++) {
      loss.lost({ mode: 'closeAfter', seconds: 30 })
      clock.advance(5_000)
    }
    expect(loss.expired).toBe(true)
  })

  it('is over when the Controller is back', () => {
    const { clock, loss } = watched()
    loss.lost({ mode: 'closeAfter', seconds: 30 })
    clock.advance(20_000)
    loss.regained()
    clock.advance(60_000)
    expect(loss.expired).toBe(false)
    loss.lost({ mode: 'closeAfter', seconds: 30 })
    clock.advance(30_000)
    expect(loss.expired).toBe(true)
    loss.regained()
    expect(loss.expired).toBe(false)
  })

  it('means nothing to a network that goes on until its ACLs end', () => {
    const { clock, loss } = watched()
    loss.lost({ mode: 'untilExpiry' })
    clock.advance(86_400_000)
    expect(loss.expired).toBe(false)
  })
})
