import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { KubeConfig } from '@kubernetes/client-node'
import { FakeClock, silentLog } from '@sallyport/runtime'
import { eventually } from '@sallyport/testkit'
import { afterEach, expect, it } from 'vitest'
import { InformerOperator, type Listed } from './adapter.ts'

const STALE_MS = 60_000
const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

type Watching = { list?: () => Promise<Listed>; authenticate?: () => Promise<void> }

/** An operator that has listed, and whose watch has been asked for and not been answered. */
async function watching({ list = async () => listed(), authenticate = async () => undefined }: Watching = {}) {
  const asked: ServerResponse[] = []
  const server = createServer((_, response) => void asked.push(response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const config = new (class extends KubeConfig {
    override applySecurityAuthentication = authenticate
  })()
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
  const put: string[] = []
  const gone: string[] = []
  const lists: string[][] = []
  await operator.follow({
    ...{ name: 'Group ', path: '/groups', isAbsent: () => false, list, shape: object => object },
    onList: objects => lists.push(objects.map(({ metadata }) => metadata.name)),
    onPut: ({ metadata }) => put.push(metadata.name),
    onGone: ({ metadata }) => gone.push(metadata.name),
  })
  const answer = () => asked.at(-1)?.writeHead(200).flushHeaders()
  const tell = (type: string, object: object) => asked.at(-1)?.write(`${JSON.stringify({ type, object })}\n`)
  const say = async (name: string) => {
    tell('ADDED', group(name))
    await eventually(name, () => put.includes(name))
  }
  const end = () => asked.at(-1)?.end()
  return { operator, clock, answer, say, tell, end, asked, gone, lists }
}

const group = (name: string) => ({ apiVersion: 'sallyport.dev/v1alpha1', kind: 'Group', metadata: { name } })
const listed = (...names: string[]): Listed => ({ items: names.map(group), resourceVersion: '1' })

it('a watch that is never answered counts as out of date after a while', async () => {
  const { operator, clock, asked } = await watching()
  await eventually('the watch', () => asked.length === 1)
  clock.advance(STALE_MS - 1)
  expect(operator.stale()).toBeUndefined()
  clock.advance(1)
  expect(operator.stale()).toBe('Group : no word from the API server for 60 s')
})

it('a watch that is answered, and says nothing since, does not before it has to be answered again', async () => {
  const { operator, clock, answer, asked } = await watching()
  await eventually('the watch', () => asked.length === 1)
  clock.advance(STALE_MS)
  expect(operator.stale()).toBeDefined()
  answer()
  await eventually('the answer', () => operator.stale() === undefined)
  clock.advance(STALE_MS - 1)
  expect(operator.stale()).toBeUndefined()
})

it('a watch that has always something to say, so that it is never begun anew, does not either', async () => {
  const { operator, clock, answer, say, asked } = await watching()
  await eventually('the watch', () => asked.length === 1)
  answer()
  await say('first')
  clock.advance(STALE_MS - 1)
  await say('second')
  clock.advance(STALE_MS - 1)
  expect(operator.stale()).toBeUndefined()
  clock.advance(1)
  expect(operator.stale()).toBe('Group : no word from the API server for 60 s')
})

it('what a watch says is deleted has gone; what a list lacks after a version that is gone has not', async () => {
  const answers = [listed('a', 'b'), listed()]
  const { answer, tell, end, asked, gone, lists } = await watching({ list: async () => answers.shift()! })
  await eventually('the watch', () => asked.length === 1)
  answer()
  tell('DELETED', group('a'))
  await eventually('the deletion', () => gone.length === 1)
  tell('ERROR', { kind: 'Status', code: 410, reason: 'Expired' })
  end()
  await eventually('the next watch', () => asked.length === 2)
  expect(lists).toEqual([['a', 'b'], []])
  expect(gone).toEqual(['a'])
})

it('a list that fails after another has overtaken it has failed, and the other counts', async () => {
  const pending: { resolve: (list: Listed) => void; reject: (error: Error) => void }[] = []
  let isFirst = true
  const list = () => {
    if (!isFirst) return new Promise<Listed>((resolve, reject) => pending.push({ resolve, reject }))
    isFirst = false
    return Promise.resolve(listed())
  }
  const { operator, asked, lists } = await watching({ list })
  await eventually('the watch', () => asked.length === 1)
  const [first, second] = [operator.relist(), operator.relist()]
  await eventually('both lists', () => pending.length === 2)
  pending[0]?.reject(new Error('as asked'))
  expect(await first).toEqual(['Group '])
  pending[1]?.resolve(listed('a'))
  expect(await second).toEqual([])
  expect(lists).toEqual([[], ['a']])
})

it('a watch that cannot begin after a list begins again with a list', async () => {
  let refusals = 1
  const authenticate = async () => {
    if (refusals-- > 0) throw new Error('no token')
  }
  const { clock, asked, lists } = await watching({ authenticate })
  await eventually('the refusal', () => refusals === 0)
  await eventually('the next list', () => {
    clock.advance(1_000)
    return lists.length === 2
  })
  await eventually('the watch', () => asked.length === 1)
})

it('one that is stopped before it has listed ends its start', async () => {
  const failing = Promise.withResolvers<Listed>()
  const operator = new InformerOperator({
    config: new KubeConfig(),
    clock: new FakeClock(),
    log: silentLog,
    staleMs: STALE_MS,
    onFailure: () => undefined,
  })
  const nothing = () => undefined
  const started = operator.follow({
    ...{ name: 'Group ', path: '/groups', isAbsent: () => false, shape: object => object },
    ...{ list: () => failing.promise, onList: nothing, onPut: nothing, onGone: nothing },
  })
  operator.stop()
  failing.reject(new Error('as asked'))
  await started
})
