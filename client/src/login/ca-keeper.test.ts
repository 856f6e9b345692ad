import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import { FakeClock, NO_PROXY, silentLog } from '@sallyport/runtime'
import { eventually } from '@sallyport/testkit'
import {
  type CertificateAuthority,
  createCa,
  generateKeyPair,
  issueServingCertificate,
  joinBundle,
  privateKeyToPem,
} from '@sallyport/trust'
import { afterEach, describe, expect, it } from 'vitest'
import { CaKeeper, isSameKey } from './ca-keeper.ts'

const CA_SECONDS = 1000
const HALF_MS = (CA_SECONDS * 1000) / 2
const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const keys = generateKeyPair()
const caAt = (nowMs: number, own = keys) =>
  createCa({ commonName: 'test', keys: own }, { nowMs, lifeSeconds: CA_SECONDS })

/** A Controller that shows `ca` to whoever connects, and a login that has kept `kept`. */
async function scene(clock: FakeClock, kept: string, ca: CertificateAuthority) {
  const { publicKey, privateKey } = generateKeyPair()
  const life = { nowMs: clock.now(), lifeSeconds: 600 }
  const certificate = issueServingCertificate(ca, { publicKey, dnsNames: [], ipAddresses: ['127.0.0.1'] }, life)
  let connections = 0
  const cert = joinBundle([certificate, ca.certificatePem])
  const server = createServer({ cert, key: privateKeyToPem(privateKey) }, socket =>
    socket.on('error', () => undefined).resume(),
  )
  server.on('connection', () => {
    connections++
  })
  server.on('tlsClientError', () => undefined)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closers.push(() => new Promise(resolve => server.close(resolve)))
  let held = kept
  const keeper = new CaKeeper({
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ clock, log: silentLog, proxy: NO_PROXY, now: () => clock.now(), ca: () => held },
    keep: async renewed => {
      held = renewed
    },
  })
  closers.push(() => keeper.close())
  return { held: () => held, connections: () => connections }
}

describe('the CA certificate of a login', () => {
  it('is left alone in the first half of its life', async () => {
    const clock = new FakeClock()
    const first = caAt(clock.now())
    const { connections } = await scene(clock, first.certificatePem, caAt(clock.now() + 1000))
    clock.advance(HALF_MS - 1)
    expect(clock.timers).toBe(1)
    expect(connections()).toBe(0)
  })

  it('gives way to a newer one of the same key in the second half, also when it has expired meanwhile', async () => {
    for (const laterMs of [HALF_MS, HALF_MS * 3]) {
      const clock = new FakeClock()
      const first = caAt(clock.now())
      clock.advance(laterMs)
      const next = caAt(clock.now())
      const { held } = await scene(clock, first.certificatePem, next)
      clock.advance(0)
      await eventually('the newer certificate', () => held().trim() === next.certificatePem.trim())
      expect(isSameKey(held(), first.certificatePem)).toBe(true)
    }
  })

  it('does not give way to one of another key, nor to an older one', async () => {
    for (const shown of [(now: number) => caAt(now, generateKeyPair()), (now: number) => caAt(now - 10_000)]) {
      const clock = new FakeClock()
      const first = caAt(clock.now())
      const { held, connections } = await scene(clock, first.certificatePem, shown(clock.now()))
      clock.advance(HALF_MS)
      await eventually('the next attempt to be set', () => connections() === 1 && clock.timers === 1)
      expect(held()).toBe(first.certificatePem)
    }
  })
})
