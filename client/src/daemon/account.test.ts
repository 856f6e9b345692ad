import { createServer } from 'node:net'
import { FakeClock, NO_PROXY, silentLog } from '@sallyport/runtime'
import { eventually } from '@sallyport/testkit'
import { generateKeyPair } from '@sallyport/trust'
import { afterEach, expect, it } from 'vitest'
import { closeLab, closers, scratch } from '../client-lab.ts'
import { profileIn } from '../login/profile.ts'
import { Account } from './account.ts'

afterEach(closeLab)

/** An account whose Controller hangs up on everyone. */
async function withoutController() {
  let attempts = 0
  const server = createServer(socket => {
    attempts++
    socket.destroy()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => server.close())
  const url = `https://127.0.0.1:${(server.address() as { port: number }).port}`
  const clock = new FakeClock()
  const account = new Account({
    profile: { url, controllerUrl: url },
    store: profileIn(scratch()),
    keys: generateKeyPair(),
    clock,
    log: silentLog,
    proxy: NO_PROXY,
    host: 'laptop',
    platform: 'test',
    idleMs: 1_000,
    dialWith: () => () => Promise.reject(new Error('nothing is dialled')),
  })
  closers.push(() => account.close())
  await account.keeper.accept({
    access_token: 'a',
    expires_in: 600,
    refresh_token: 'r',
    controller_url: url,
  })
  account.start()
  const failed = (count: number) =>
    eventually(`failure ${count}`, () => attempts === count && account.channelState === 'down')
  await failed(1)
  return { account, clock, failed, attempts: () => attempts }
}

it('an account that waits for its Controller is hurried at most once a second', async () => {
  const { account, clock, failed, attempts } = await withoutController()
  account.hurry()
  await failed(2)
  for (let times = 0; times < 10; times++) account.hurry()
  expect([account.channelState, attempts()]).toEqual(['down', 2])
  // A second later the channel has tried again by itself.
  clock.advance(1_000)
  await failed(3)
  account.hurry()
  await failed(4)
})
