import { FakeClock } from '@sallyport/runtime'
import { expect, it } from 'vitest'
import { MAX_SETTLE_MS, SETTLE_MS, Settler } from './settler.ts'

function start() {
  const clock = new FakeClock()
  const judged: number[] = []
  const settler = new Settler(clock, () => judged.push(clock.monotonic()))
  return { clock, judged, settler, startMs: clock.monotonic() }
}

it('judges a change when its end has come, and not once more', () => {
  const { clock, judged, settler, startMs } = start()
  settler.soon()
  clock.advance(1)
  settler.now()
  clock.advance(MAX_SETTLE_MS)
  expect(judged).toEqual([startMs + 1])
})

it('judges a change whose end does not come when no more of it does', () => {
  const { clock, judged, settler, startMs } = start()
  for (let part = 0; part < 2; part++) {
    settler.soon()
    clock.advance(SETTLE_MS - 1)
    expect(judged).toEqual([])
  }
  clock.advance(1)
  expect(judged).toEqual([startMs + 2 * (SETTLE_MS - 1) + 1])
})

it('judges by what has come of a change that never ends', () => {
  const { clock, judged, settler, startMs } = start()
  while (clock.monotonic() < startMs + 2 * MAX_SETTLE_MS) {
    settler.soon()
    clock.advance(SETTLE_MS / 4)
  }
  expect(judged).toEqual([startMs + MAX_SETTLE_MS, startMs + 2 * MAX_SETTLE_MS])
})
