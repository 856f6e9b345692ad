import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KubeConfig } from '@kubernetes/client-node'
import { FakeClock, silentLog } from '@sallyport/runtime'
import { eventually } from '@sallyport/testkit'
import { afterEach, expect, it } from 'vitest'
import { InformerOperator } from './adapter.ts'

const STALE_MS = 60_000
const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** An operator that has listed, and whose watch has been asked for and not been answered. */
async function watching() {
  const asked: ServerResponse[] = []
  const server = createServer((_, response) => void asked.push(response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const config = new KubeConfig()
  // Plain HTTP, which client-node takes only so.
  config.loadFromClusterAndUser(
    { name: 'c', server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, skipTLSVerify: true },
    { name: 'u' },
  )
  const clock = new FakeClock()
  const operator = new InformerOperator({
    config,
    clock,
    log: silentLog,
    staleMs: STALE_MS / 2,
    onFailure: () => undefined,
  })
  closers.push(() => operator.stop())
  const nothing = () => undefined
  const put: string[] = []
  await operator.follow({
    ...{ name: 'Group ', path: '/groups', onList: nothing, onGone: nothing, shape: object => object },
    onPut: ({ metadata }) => put.push(metadata.name),
    isAbsent: () => false,
    list: async () => ({ items: [], resourceVersion: '1' }),
  })
  await eventually('the watch', () => asked.length === 1)
  const answer = () => asked[0]?.writeHead(200).flushHeaders()
  const say = async (name: string) => {
    const object = { apiVersion: 'sallyport.dev/v1alpha1', kind: 'Group', metadata: { name } }
    asked[0]?.write(`${JSON.stringify({ type: 'ADDED', object })}\n`)
    await eventually(name, () => put.includes(name))
  }
  return { operator, clock, answer, say }
}

it('a watch that is never answered counts as out of date after a while', async () => {
  const { operator, clock } = await watching()
  clock.advance(STALE_MS - 1)
  expect(operator.stale()).toBeUndefined()
  clock.advance(1)
  expect(operator.stale()).toBe('Group : no word from the API server for 60 s')
})

it('a watch that is answered, and says nothing since, does not before it has to be answered again', async () => {
  const { operator, clock, answer } = await watching()
  clock.advance(STALE_MS)
  expect(operator.stale()).toBeDefined()
  answer()
  await eventually('the answer', () => operator.stale() === undefined)
  clock.advance(STALE_MS - 1)
  expect(operator.stale()).toBeUndefined()
})

it('a watch that has always something to say, so that it is never begun anew, does not either', async () => {
  const { operator, clock, answer, say } = await watching()
  answer()
  await say('first')
  clock.advance(STALE_MS - 1)
  await say('second')
  clock.advance(STALE_MS - 1)
  expect(operator.stale()).toBeUndefined()
  clock.advance(1)
  expect(operator.stale()).toBe('Group : no word from the API server for 60 s')
})
