import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FakeClock, silentLog } from '@sallyport/runtime'
import type { AccessLogRecord } from '@sallyport/schema'
import { eventually } from '@sallyport/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { AccessLog, MAX_WAITING_RECORDS } from './access-log.ts'

const record = (id: string): AccessLogRecord => ({
  id,
  event: 'opened',
  atMs: 1,
  session: 's',
  stream: 1,
  host: 'web.internal',
  port: 443,
  protocol: 'tcp',
  path: 'relay:r0',
})

const root = mkdtempSync(join(tmpdir(), 'sallyport-access-log-'))
afterAll(() => rmSync(root, { recursive: true }))

async function open(directory = mkdtempSync(join(root, 'log-'))) {
  const clock = new FakeClock()
  const sent: string[][] = []
  const state = { connected: true, dropped: 0 }
  const log = await AccessLog.open({
    directory,
    clock,
    log: silentLog,
    send: records => {
      if (state.connected) sent.push(records.map(({ id }) => id))
      return state.connected
    },
    onDropped: count => {
      state.dropped += count
    },
  })
  return { log, clock, sent, state, directory, files: () => readdirSync(directory) }
}

describe('the access log on its way to the Controller', () => {
  it('sends what has gathered, and the next when that was acknowledged', async () => {
    const { log, clock, sent } = await open()
    for (const id of ['a', 'b']) log.add(record(id))
    expect(sent).toEqual([])
    clock.advance(50)
    log.add(record('c'))
    clock.advance(50)
    expect(sent).toEqual([['a', 'b']])
    log.acknowledged(['a', 'b'])
    expect(sent).toEqual([['a', 'b'], ['c']])
  })

  it('removes a file when all of it was acknowledged', async () => {
    const { log, clock, files } = await open()
    log.add(record('a'))
    clock.advance(50)
    await eventually('the file', () => files().length === 1)
    log.acknowledged(['a'])
    await eventually('its removal', () => files().length === 0)
    expect(log.waiting).toBe(0)
  })

  it('sends again after a new connection what was not acknowledged', async () => {
    const { log, clock, sent, state } = await open()
    log.add(record('a'))
    clock.advance(50)
    state.connected = false
    log.add(record('b'))
    clock.advance(50)
    state.connected = true
    log.connected()
    expect(sent).toEqual([['a'], ['a', 'b']])
  })

  it('keeps records over a restart, half a last line passed over', async () => {
    const first = await open()
    first.state.connected = false
    for (const id of ['a', 'b']) first.log.add(record(id))
    await first.log.close(0).catch(() => undefined)
    appendFileSync(join(first.directory, first.files()[0]!), '{"id":"c","ev')
    const second = await open(first.directory)
    expect(second.log.waiting).toBe(2)
    second.log.connected()
    expect(second.sent).toEqual([['a', 'b']])
    second.log.add(record('d'))
    second.clock.advance(50)
    await eventually('a new file', () => second.files().length === 2)
  })

  it('gives up the oldest beyond its limit, and counts them', async () => {
    const { log, state } = await open()
    state.connected = false
    for (let i = 0; i < MAX_WAITING_RECORDS + 1; i++) log.add(record(String(i)))
    log.connected()
    expect(state.dropped).toBe(500)
    expect(log.waiting).toBe(MAX_WAITING_RECORDS - 499)
  })
})
