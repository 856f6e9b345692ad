import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '@sallyport/testkit'
import { cleanUp, dialThrough, startTestRelay, TestConnector, later } from './test/lab.ts'

afterEach(cleanUp)

describe('smoke', () => {
  it('works', async () => {
    const relay = await startTestRelay()
    const connector = new TestConnector(relay)
    await eventually('registered', () => connector.registered, {timeoutMs: 3000}).catch(e => { console.log(connector.states, connector.received); throw e })
    const tunnel = await dialThrough(relay, connector)
    expect(tunnel.getEphemeralKeyInfo()).toMatchObject({ name: 'X25519MLKEM768' })
    const got: Buffer[] = []
    tunnel.on('data', b => got.push(b))
    tunnel.write('hello')
    await eventually('echo', () => Buffer.concat(got).toString() === 'hello')
    console.log(await (await relay.get('/metrics')).text())
  })
})
