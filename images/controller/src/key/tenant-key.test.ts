import { readFileSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FakeClock } from '@sallyport/runtime'
import { Jwks, MAX_JWKS_KEYS, parser } from '@sallyport/schema'
import { createStoreKey, KEY_PURPOSES, signingKey } from '@sallyport/trust'
import { afterEach, describe, expect, it } from 'vitest'
import { ensureTenant, openStore, type Store, sqliteDialect } from '../store/index.ts'
import { createSealer, readStoreKey } from './store-key.ts'
import { openTenantKeys } from './tenant-key.ts'

const policy = { rotationSeconds: 1000, announceSeconds: 100, overlapSeconds: 50 }
const open: Store[] = []
const sealer = createSealer(createStoreKey())
afterEach(async () => {
  for (const store of open.splice(0)) await store.close()
})

async function keysAt(clock: FakeClock, path = ':memory:') {
  const store = await openStore(sqliteDialect(path), () => clock.now())
  open.push(store)
  await ensureTenant(store, 'default', 0)
  return { store, keys: await openTenantKeys(store, sealer, 'default', clock) }
}

describe('signing keys', () => {
  it('are another one for each purpose', async () => {
    const { keys } = await keysAt(new FakeClock())
    expect(new Set(KEY_PURPOSES.map(purpose => keys.signing(purpose).current.kid)).size).toBe(KEY_PURPOSES.length)
  })

  it('are announced before they sign, and trusted after they have signed', async () => {
    const clock = new FakeClock()
    const { keys } = await keysAt(clock)
    const kids = () => keys.jwks('clientAcl').keys.map(({ kid }) => kid)
    const { kid: old } = keys.signing('clientAcl').current
    expect(await keys.rotate(policy)).toBe(false)
    clock.advance(1_000_000)
    expect(await keys.rotate(policy)).toBe(true)
    const { current, next } = keys.signing('clientAcl')
    expect(current.kid).toBe(old)
    expect(kids()).toEqual([old, next?.kid])
    expect(await keys.rotate(policy)).toBe(false)
    clock.advance(100_000)
    expect(keys.signing('clientAcl').current.kid).toBe(next?.kid)
    expect(kids()).toEqual([next?.kid, old])
    clock.advance(49_999)
    expect(keys.verifying('clientAcl').has(old)).toBe(true)
    clock.advance(1)
    expect(keys.verifying('clientAcl').has(old)).toBe(false)
    expect(await keys.rotate(policy)).toBe(true)
  })

  it('are never more than a verifier takes, however often they are replaced', async () => {
    const clock = new FakeClock()
    const { keys } = await keysAt(clock)
    const signers = new Set<string>()
    for (let hour = 0; hour < 60; hour++) {
      await keys.rotate({ rotationSeconds: 3600, announceSeconds: 60, overlapSeconds: 30 * 3600 })
      const jwks = keys.jwks('clientAcl')
      expect(parser(Jwks).problems(jwks)).toEqual([])
      const { kid } = keys.signing('clientAcl').current
      expect(jwks.keys.map(key => key.kid)).toContain(kid)
      signers.add(kid)
      clock.advance(3_600_000)
    }
    expect(signers.size).toBeGreaterThan(MAX_JWKS_KEYS)
  })

  it('are the same after a restart, and of no use without the store key', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sallyport-keys-'))
    const path = join(dir, 'controller.db')
    const { store, keys } = await keysAt(new FakeClock(), path)
    const { kid } = keys.signing('connectorAcl').current
    const again = await openTenantKeys(store, sealer, 'default', new FakeClock())
    expect(again.signing('connectorAcl').current.kid).toBe(kid)
    const thief = createSealer(createStoreKey())
    await expect(openTenantKeys(store, thief, 'default', new FakeClock())).rejects.toMatchObject({
      code: 'cannot_open',
    })
    await store.close()
    open.pop()
    expect(readFileSync(path, 'latin1')).not.toContain('PRIVATE KEY')
    rmSync(dir, { recursive: true })
  })
})

describe('the store key', () => {
  const bytes = Buffer.alloc(32, 9)
  it.each([
    ['base64', bytes.toString('base64')],
    ['base64 with a line end', `${bytes.toString('base64')}\n`],
    ['base64url', bytes.toString('base64url')],
  ])('is read from %s', (_, text) => {
    expect(Buffer.from(readStoreKey(text).key)).toEqual(bytes)
    expect(readStoreKey(text).id).toBe(readStoreKey(bytes.toString('base64url')).id)
  })

  it.each([
    '',
    'x',
    Buffer.alloc(31).toString('base64'),
    Buffer.alloc(33).toString('base64'),
    signingKey('clientAcl').kid.slice(1),
  ])('is not read from "%s"', text => {
    expect(() => readStoreKey(text)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })
})
