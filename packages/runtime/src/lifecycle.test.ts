import { join } from 'node:path'
import { run } from '@sallyport/testkit'
import { describe, expect, it } from 'vitest'
import { Supervisor } from './lifecycle.ts'

const start = (env: Record<string, string>) =>
  run({ name: 'process', args: [join(import.meta.dirname, 'test/process.ts')], env })

describe('a process', () => {
  it('closes in order on SIGTERM and exits 0', async () => {
    const process = start({ SALLYPORT_NUMBER: '1' })
    await process.line(/started/)
    expect(await process.stop('SIGTERM')).toBe(0)
    const messages = process.lines.map(line => JSON.parse(line).msg)
    expect(messages).toEqual(['started', 'stopping', 'closed', 'stopped'])
    expect(JSON.parse(process.lines[0]!)).toMatchObject({ level: 'info', name: 'test-process' })
  })

  it('writes no secret to its log', async () => {
    const process = start({ SALLYPORT_NUMBER: '1' })
    const line = await process.line(/started/)
    await process.stop('SIGTERM')
    expect(line).not.toContain('secret')
    expect(JSON.parse(line)).toMatchObject({ token: '[redacted]', nested: { authorization: '[redacted]' } })
  })

  it('ends at once on a second signal', async () => {
    const process = start({ SALLYPORT_NUMBER: '1', SALLYPORT_FAULT: 'hang' })
    await process.line(/started/)
    process.child.kill('SIGTERM')
    await process.line(/stopping/)
    expect(await process.stop('SIGINT')).toBe(1)
  })

  it('names every problem of its configuration and exits 1', async () => {
    const process = start({ SALLYPORT_NUMBER: 'one', SALLYPORT_FAULT: 'all' })
    expect(await process.ended).toBe(1)
    const text = process.lines.join('\n')
    expect(text).toContain('SALLYPORT_NUMBER: must be integer')
    expect(text).toContain('SALLYPORT_FAULT: must be one of none, start, later, hang')
  })

  it.each([
    ['start', 'start failed'],
    ['later', 'unhandled rejection'],
  ])('logs a failure and exits 1: %s', async (fault, message) => {
    const process = start({ SALLYPORT_NUMBER: '1', SALLYPORT_FAULT: fault })
    expect(await process.ended).toBe(1)
    expect(process.lines.some(line => line.includes(message))).toBe(true)
  })
})

describe('the supervisor', () => {
  it('knows what runs and reports what fails by name', async () => {
    const failures: [string, unknown][] = []
    const supervisor = new Supervisor((name, error) => failures.push([name, error]))
    const { promise, resolve } = Promise.withResolvers<void>()
    supervisor.run('waits', promise)
    supervisor.run('fails', async () => {
      throw new Error('no')
    })
    expect(supervisor.names).toEqual(['waits', 'fails'])
    resolve()
    await supervisor.settled()
    expect(failures).toEqual([['fails', new Error('no')]])
    expect(supervisor.names).toEqual([])
  })
})
