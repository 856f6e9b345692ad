/** Rules change under load: widening refuses and cuts nothing, narrowing cuts what it forbids and nothing else. */
import {
  ADA,
  byPort,
  bySocks,
  eventually,
  httpGet,
  Lab,
  startEchoService,
  TCP_HOST,
  take,
  WEB_HOST,
  withPorts,
} from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const PARALLEL = 8

let lab: Lab
let other: Awaited<ReturnType<typeof startEchoService>>
beforeAll(async () => {
  other = await startEchoService('')
  lab = await Lab.start({ members: [ADA] })
  await lab.login()
})
afterAll(async () => {
  await lab?.close()
  await other?.close()
})

describe('a rule changed under load', () => {
  it('widened again and again: none refused, none cut', async () => {
    let over = false
    let answered = 0
    const failures: string[] = []
    const load = Array.from({ length: PARALLEL }, async () => {
      while (!over) {
        await httpGet(bySocks(lab.socks), WEB_HOST, lab.web.port, '/file?bytes=100000').then(
          () => answered++,
          error => failures.push(String(error)),
        )
      }
    })
    const long = httpGet(bySocks(lab.socks), WEB_HOST, lab.web.port, `/slow?bytes=${100 * 1024 ** 3}`).catch(error =>
      String(error),
    )
    const resource = lab.installation.read('Resource', 'web')
    for (let more = 1; more <= 5; more++) {
      const others = Array.from({ length: more }, (_, index) => 20_000 + index)
      lab.installation.write(withPorts(resource, [lab.web.port, ...others]))
      await eventually('the Client to be told of the last port', async () => {
        const { resources } = await lab.device.json<{ resources: object[] }>(['resources'])
        return JSON.stringify(resources).includes(String(others.at(-1)))
      })
      const before = answered
      await eventually('requests after the change', () => answered > before + 2 * PARALLEL)
    }
    over = true
    await Promise.all(load)
    expect(failures).toEqual([])
    expect(answered).toBeGreaterThan(50)
    await eventually('only the long stream to be left', () => lab.web.open() === 1)
    lab.installation.write(resource)
    expect(await Promise.race([long, Promise.resolve('running')])).toBe('running')
  })

  it('narrowed: the stream on the port that goes is cut, the one on the port that stays goes on', async () => {
    const tcp = lab.installation.read('Resource', 'tcp')
    lab.installation.write(withPorts(tcp, [lab.tcp.port, other.port]))
    const [stays, goes] = await Promise.all(
      [lab.tcp.port, other.port].map(async port => {
        const local = await lab.device.forward(TCP_HOST, port)
        return eventually(`port ${port} to be granted`, async () => {
          const socket = await byPort(local)()
          socket.write('x\n')
          return take(socket, 2).then(() => socket)
        })
      }),
    )
    const cut = new Promise<void>(resolve => {
      goes!.on('error', () => {})
      goes!.once('close', () => resolve())
      goes!.resume()
    })
    lab.installation.write(withPorts(tcp, [lab.tcp.port]))
    await cut
    await eventually('the service to lose the connection', () => other.open() === 0)
    stays!.resume()
    const echoed = new Promise<string>(resolve =>
      stays!.on('data', chunk => String(chunk).includes('still') && resolve('echoed')),
    )
    stays!.write('still here\n')
    expect(await echoed).toBe('echoed')
    const accepted = other.accepted()
    await expect(bySocks(lab.socks)(TCP_HOST, other.port)).rejects.toThrow('SOCKS reply 2')
    expect(other.accepted()).toBe(accepted)
    stays!.destroy()
  })
})
