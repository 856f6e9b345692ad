import { eventually, startWebService } from '@sallyport/testkit'
import { afterAll, expect, it } from 'vitest'
import { startChain } from './chain-lab.ts'
import { closeLab, closers, commandLine, exchange, logInAs } from './client-lab.ts'

afterAll(closeLab)

const ACL_SECONDS = 6

it('without the Controller, open and new streams go on until the access list ends; then the reason is said, and all comes back with it', async () => {
  const web = await startWebService('hello from inside')
  closers.push(() => web.close())
  const chain = await startChain({ records: { 'web.internal': ['127.0.0.1'] }, maxAclSeconds: ACL_SECONDS })
  await chain.declare({ address: 'web.internal', ports: [web.port] })
  const line = commandLine()
  await logInAs(line, chain.controller, 'ada@example.com')
  const serving = line.begin('proxy', '--json', '--listen', '127.0.0.1:0')
  closers.push(() => serving.stop('SIGINT'))
  const [proxy = ''] = JSON.parse(await serving.line(/capturing/)).capturing.listen as string[]
  const ask = (path = '/') =>
    exchange(proxy, Buffer.from(`GET http://web.internal:${web.port}${path} HTTP/1.1\r\n\r\n`))
  const get = async () => (await ask()).toString()
  await eventually('a first byte', async () => (await get()).includes('hello'))

  const download = ask('/slow?bytes=1000000000').then(
    () => 'ended',
    () => 'cut',
  )
  await chain.controller.stop()
  let granted = 0
  const refusal = await eventually('the end of the access list', async () => {
    const answer = await get()
    if (!answer.includes('hello')) return answer
    granted++
    return undefined
  })
  expect(granted).toBeGreaterThan(0)
  expect(refusal).toMatch(/^HTTP\/1.1 403 [\s\S]*expired/)
  // In the last moment the Connector may be the first to say so; it does not know why.
  await eventually('the reason', async () => /^HTTP\/1.1 403 [\s\S]*expired[\s\S]*was not renewed/.test(await get()))
  await download
  expect(web.open()).toBe(0)
  const { out } = await line.command('why', '--json', `web.internal:${web.port}`)
  expect(JSON.parse(out)).toMatchObject({ reason: 'expired' })
  expect(out).toContain('not reached just now')

  await chain.controller.restart()
  // Whoever asks hurries it: by itself the Client may wait longer than this does.
  await eventually('access again', async () => (await get()).includes('hello'))
})
