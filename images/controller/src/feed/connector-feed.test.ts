import { messageParser } from '@sallyport/runtime'
import { ToConnector } from '@sallyport/schema'
import { expect, it } from 'vitest'
import { floorMessages } from './connector-feed.ts'

const parser = messageParser(ToConnector)
const floors = Array.from({ length: 70_000 }, (_, rev) => ({ device: 'a'.repeat(32), rev, untilMs: 1 }))

it.each([
  ['all there are', true],
  ['new ones', false],
])('floors of any number are messages that a Connector reads: %s', (_, complete) => {
  const messages = [...floorMessages(floors, { complete })]
  for (const message of messages) expect(parser.parse(JSON.stringify(message))).toEqual({ kind: 'message', message })
  expect(messages.flatMap(message => message.floors)).toEqual(floors)
  expect(messages.map(message => message.complete)).toEqual(messages.map((_, at) => complete && at === 0))
})

it('that there are no floors is said, that none are new is not', () => {
  expect([...floorMessages([], { complete: true })]).toEqual([{ type: 'floors', floors: [], complete: true }])
  expect([...floorMessages([], { complete: false })]).toEqual([])
})
