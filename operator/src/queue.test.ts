import { FakeClock } from '@sallyport/runtime'
import { describe, expect, it } from 'vitest'
import { Queue } from './queue.ts'

type Job = { key: string; end(againAtMs?: number): void; fail(): void }

function harness(concurrency = 2) {
  const clock = new FakeClock()
  const jobs: Job[] = []
  const errors: string[] = []
  const awaited = new Set<string>()
  const queue = new Queue({
    clock,
    concurrency,
    random: () => 0.5,
    isAwaited: key => awaited.has(key),
    onError: key => void errors.push(key),
    work: key =>
      new Promise((resolve, reject) => jobs.push({ key, end: resolve, fail: () => reject(new Error('as asked')) })),
  })
  const keys = () => jobs.map(({ key }) => key)
  return { clock, jobs, errors, queue, keys, awaited }
}
const settle = () => new Promise(resolve => setImmediate(resolve))

describe('a queue of keys', () => {
  it('makes one of many requests', () => {
    const { queue, keys } = harness(1)
    for (const key of ['a', 'b', 'b', 'b', 'c', 'b']) queue.add(key)
    expect(keys()).toEqual(['a'])
    expect(queue.length).toBe(3)
  })

  it('never works twice on a key at a time, and once more when it was asked for meanwhile', async () => {
    const { queue, jobs, keys } = harness()
    queue.add('a')
    queue.add('a')
    queue.add('a')
    expect(keys()).toEqual(['a'])
    jobs[0]!.end()
    await settle()
    expect(keys()).toEqual(['a', 'a'])
    jobs[1]!.end()
    await settle()
    expect(queue.isIdle).toBe(true)
  })

  it('works on as many keys at a time as it may', async () => {
    const { queue, jobs, keys } = harness(2)
    for (const key of ['a', 'b', 'c']) queue.add(key)
    expect(keys()).toEqual(['a', 'b'])
    jobs[1]!.end()
    await settle()
    expect(keys()).toEqual(['a', 'b', 'c'])
  })

  it('takes what someone waits for before what nobody waits for, however long that has been there', async () => {
    const { queue, jobs, keys, awaited } = harness(1)
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key)
    awaited.add('d').add('e')
    for (const key of ['e', 'd']) queue.add(key)
    expect(queue.length).toBe(5)
    for (let ended = 0; ended < 5; ended++) {
      jobs[ended]!.end()
      await settle()
    }
    expect(keys()).toEqual(['a', 'e', 'd', 'b', 'c'])
    expect(queue.isIdle).toBe(true)
  })

  it('takes what someone has come to wait for while it was worked on before the rest', async () => {
    const { queue, jobs, keys, awaited } = harness(1)
    for (const key of ['a', 'b']) queue.add(key)
    awaited.add('a')
    queue.add('a')
    jobs[0]!.end()
    await settle()
    expect(keys()).toEqual(['a', 'a'])
  })

  it('tries again what failed, later each time, and at once when it is asked for', async () => {
    const { queue, jobs, keys, errors, clock } = harness()
    queue.add('a')
    jobs[0]!.fail()
    await settle()
    expect([keys(), errors]).toEqual([['a'], ['a']])
    clock.advance(99)
    expect(keys()).toEqual(['a'])
    clock.advance(1)
    expect(keys()).toEqual(['a', 'a'])
    jobs[1]!.fail()
    await settle()
    clock.advance(199)
    expect(keys()).toHaveLength(2)
    queue.add('a')
    expect(keys()).toHaveLength(3)
  })

  it('comes back when the work has said so, or sooner when it is asked for', async () => {
    const { queue, jobs, keys, clock } = harness()
    queue.add('a')
    jobs[0]!.end(clock.now() + 1000)
    await settle()
    clock.advance(999)
    expect(keys()).toEqual(['a'])
    clock.advance(1)
    expect(keys()).toEqual(['a', 'a'])
  })

  it('waits at its end for what runs, and begins nothing more', async () => {
    const { queue, jobs, keys } = harness(1)
    queue.add('a')
    queue.add('b')
    let ended = false
    const closing = queue.close().then(() => {
      ended = true
    })
    await settle()
    expect(ended).toBe(false)
    jobs[0]!.end()
    await closing
    expect(keys()).toEqual(['a'])
  })

  it('waits at its end no longer than 10 s', async () => {
    const { queue, jobs, clock } = harness(1)
    queue.add('a')
    let ended = false
    const closing = queue.close().then(() => {
      ended = true
    })
    clock.advance(9_999)
    await settle()
    expect(ended).toBe(false)
    clock.advance(1)
    await closing
    jobs[0]!.end()
    await settle()
    expect(queue.isIdle).toBe(true)
  })
})
