import { messageParser } from '@sallyport/runtime'
import { FromConnector, MAX_CONTROL_MESSAGE_BYTES } from '@sallyport/schema'
import { expect, it } from 'vitest'
import { sessionMessages } from './report.ts'

const parser = messageParser(FromConnector)

it('sessions of any number are messages that the Controller reads', () => {
  const sessions = Array.from({ length: 20_001 }, (_, at) => ({
    ...{ session: String(at).padStart(64, 's'), device: 'a'.repeat(32), user: 'u'.repeat(100) },
    ...{ path: 'p'.repeat(200), startedAtMs: Number.MAX_SAFE_INTEGER, streams: Number.MAX_SAFE_INTEGER },
  }))
  const messages = [...sessionMessages(sessions)]
  for (const message of messages) {
    const text = JSON.stringify(message)
    expect(parser.parse(text)).toEqual({ kind: 'message', message })
    expect(text.length).toBeLessThan(MAX_CONTROL_MESSAGE_BYTES)
  }
  expect(messages.flatMap(message => message.sessions)).toEqual(sessions)
  expect(messages.map(({ complete }) => complete)).toEqual([true, false, false, false, false])
})

it('that there are none is said', () => {
  expect([...sessionMessages([])]).toEqual([{ type: 'sessions', complete: true, sessions: [] }])
})
