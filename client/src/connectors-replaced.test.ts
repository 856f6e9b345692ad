import { eventually, startWebService } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Chain, startChain } from './chain-lab.ts'
import { type CommandLine, closeLab, closers, commandLine, daemonPid, exchange, logInAs } from './client-lab.ts'

let chain: Chain
let line: CommandLine
let web: Awaited<ReturnType<typeof startWebService>>
let ask: () => Promise<string>
beforeAll(async () => {
  web = await startWebService('hello from inside')
  closers.push(() => web.close())
  chain = await startChain({ records: { 'web.internal': ['127.0.0.1'] } })
  await chain.declare({ address: 'web.internal', ports: [web.port] })
  line = commandLine()
  await logInAs(line, chain.controller, 'ada@example.com')
  const serving = line.begin('proxy', '--json', '--listen', '127.0.0.1:0')
  closers.push(() => serving.stop('SIGINT'))
  const [proxy = ''] = JSON.parse(await serving.line(/capturing/)).capturing.listen as string[]
  const request = Buffer.from(`GET http://web.internal:${web.port}/ HTTP/1.1\r\n\r\n`)
  ask = async () => (await exchange(proxy, request)).toString()
  await eventually('a first byte', async () => (await ask()).includes('hello'))
})
afterAll(closeLab)

const isCutOff = async () => {
  const { state } = JSON.parse((await line.command('status', '--json')).out)
  return state === 'connecting'
}

describe('when every Connector that the Client knows is gone', () => {
  it('and the Controller was away, a new stream waits for those that have come since', async () => {
    await chain.controller.stop()
    await eventually('the Client to miss the Controller', isCutOff)
    const daemon = daemonPid(line.home)!
    process.kill(daemon, 'SIGSTOP')
    try {
      await chain.controller.restart()
      await chain.replaceConnectors()
      await eventually('the new ones at every Relay', chain.isWhole)
    } finally {
      process.kill(daemon, 'SIGCONT')
    }
    expect(await ask()).toContain('hello')
  })

  it('and they come back at once, a new stream waits for them', async () => {
    for (const connector of chain.connectors) await connector.stop()
    const asked = ask()
    for (const connector of chain.connectors) await connector.start()
    expect(await asked).toContain('hello')
  })

  it('and none comes, a new stream is refused, and no service is reached', async () => {
    for (const connector of chain.connectors) await connector.stop()
    const before = web.accepted()
    expect(await ask()).toMatch(/^HTTP\/1.1 50[0-9] [\s\S]*connector_down/)
    expect(web.accepted()).toBe(before)
    for (const connector of chain.connectors) await connector.start()
    await eventually('them at every Relay', chain.isWhole)
    expect(await ask()).toContain('hello')
  })

  it('and the Controller stays away, a new stream is refused, and no service is reached', async () => {
    await chain.controller.stop()
    await eventually('the Client to miss the Controller', isCutOff)
    for (const connector of chain.connectors) await connector.stop()
    const before = web.accepted()
    expect(await ask()).toMatch(/^HTTP\/1.1 50[0-9] [\s\S]*connector_down/)
    expect(web.accepted()).toBe(before)
  })
})
