import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IdentityProvider } from '@sallyport/schema'
import { createStoreKey, generateKeyPair } from '@sallyport/trust'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import type { AssertedPerson } from '../login-seam.ts'
import {
  closeLabs,
  type Lab,
  login,
  type Person,
  startDevice,
  startForeignProvider,
  startLab,
  steppingBrowser,
} from './login-lab.ts'

afterEach(closeLabs)

const embedded: IdentityProvider = {
  name: 'tryout',
  type: 'embedded',
  embedded: true,
  accounts: [
    { email: 'Alice@example.com', groups: ['dev'], name: 'Alice' },
    { email: 'bob@example.com', groups: [] },
  ],
}
const tryout = { providers: () => [embedded] }
const alice: Person = { sub: 'a-1', email: 'alice@example.com', email_verified: true, groups: ['dev'] }

/** A Controller that trusts a foreign provider for example.com. */
async function foreign(
  changes: Partial<IdentityProvider> = {},
  invited: (person: AssertedPerson) => boolean = () => true,
) {
  let provider: Awaited<ReturnType<typeof startForeignProvider>> | undefined
  const lab = await startLab({
    invited,
    providers: async ({ controller }) => {
      provider = await startForeignProvider({ callbackUrls: [`${controller}/oauth/callback`] })
      const directory = mkdtempSync(join(tmpdir(), 'sallyport-login-'))
      onTestFinished(() => rmSync(directory, { recursive: true }))
      const secret = join(directory, 'secret')
      writeFileSync(secret, 'secret\n')
      return [
        {
          name: 'corp',
          type: 'oidc',
          issuer: provider.issuer,
          clientId: 'sallyport',
          clientSecretFile: secret,
          emailDomains: ['example.com'],
          ...changes,
        },
      ]
    },
  })
  if (provider === undefined) throw new Error('the provider was not asked for')
  return { lab, provider }
}

const countUsers = async ({ store }: Lab) => (await store.db.selectFrom('users').select('id').execute()).length
const liveLogins = async ({ store }: Lab) =>
  (await store.db.selectFrom('logins').select('id').where('endedAtMs', 'is', null).execute()).length

/** Speaks for a device to the Controller, as every route behind the login is asked. */
async function ask(lab: Lab, token: string, dpop: string) {
  return lab.authenticate({ authorization: `DPoP ${token}`, dpop }, 'GET', `${lab.url}/v1/me`)
}

describe('a login', () => {
  it('through the embedded provider ends in tokens that are bound to the device key', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const { access_token } = await login(device, 'Alice')
    const client = await ask(lab, access_token, device.proof('GET', `${lab.url}/v1/me`, access_token))
    expect(client.user).toMatchObject({ email: 'alice@example.com', provider: 'tryout', groups: '["dev"]' })
    expect(client.device.id).toBe(device.id)
    expect(lab.log.some(({ message }) => message.includes('asks for no password'))).toBe(true)

    const other = generateKeyPair()
    const stolen = device.proof('GET', `${lab.url}/v1/me`, access_token, other)
    await expect(ask(lab, access_token, stolen)).rejects.toMatchObject({ code: 'unauthenticated' })
  })

  it('through a foreign provider believes its e-mail and groups', async () => {
    const { lab, provider } = await foreign({ scopes: ['email', 'groups'] })
    provider.become(alice)
    const device = await startDevice(lab)
    const { access_token } = await login(device)
    const client = await ask(lab, access_token, device.proof('GET', `${lab.url}/v1/me`, access_token))
    expect(client.user).toMatchObject({ subject: 'a-1', email: 'alice@example.com', groups: '["dev"]' })
  })

  it('a proof is good for one request, of its own method, URL and token', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const { access_token } = await login(device, 'Alice')
    const me = `${lab.url}/v1/me`
    const proof = device.proof('GET', me, access_token)
    await ask(lab, access_token, proof)
    for (const wrong of [
      proof,
      device.proof('POST', me, access_token),
      device.proof('GET', `${lab.url}/v1/admin/users`, access_token),
      device.proof('GET', me),
    ]) {
      await expect(ask(lab, access_token, wrong)).rejects.toMatchObject({ code: 'unauthenticated' })
    }
  })

  it('of a tenant stands under its path, and its token names it', async () => {
    const lab = await startLab({ ...tryout, tenant: 'acme' })
    const device = await startDevice(lab)
    const { access_token } = await login(device, 'Alice')
    const client = await ask(lab, access_token, device.proof('GET', `${lab.url}/v1/me`, access_token))
    expect(client.tenant).toBe('acme')
    const metadata = await (await fetch(`${lab.url}/.well-known/oauth-authorization-server`)).json()
    expect(metadata).toMatchObject({ issuer: lab.url, token_endpoint: `${lab.url}/oauth/token` })
    expect((await fetch(`${new URL(lab.url).origin}/oauth/token`, { method: 'POST' })).status).toBe(404)
  })

  it('under way outlives a restart of the Controller', async () => {
    const storeKey = createStoreKey()
    const lab = await startLab({ ...tryout, storeKey })
    const device = await startDevice(lab)
    const browser = steppingBrowser()
    const page = await browser.follow(device.authorizeUrl(), `${lab.url}/idp/interaction/`)
    const again = await startLab({ ...tryout, store: lab.store, storeKey })
    const moved = page.replace(lab.url, again.url)
    expect((await browser.open(moved)).body).toContain('Alice')
    const rows = await lab.store.db.selectFrom('loginRecords').selectAll().where('kind', '=', 'idp-keys').execute()
    expect(rows).toHaveLength(1)
    expect(rows[0]?.payload).not.toContain('"d"')
  })

  it('page warns that the embedded provider asks for no password, loads nothing and runs nothing', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const browser = steppingBrowser()
    const page = await browser.follow(device.authorizeUrl(), `${lab.url}/idp/interaction/`)
    const answer = await fetch(page, { headers: { cookie: [...browser.jar].map(pair => pair.join('=')).join('; ') } })
    expect(answer.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/)
    const body = await answer.text()
    expect(body).toContain('For trying out only')
    expect(body).not.toMatch(/<script|https?:\/\/(?!127\.0\.0\.1)/)
  })
})

describe('the answer of a provider', () => {
  it('counts once, with its state, in the browser that asked', async () => {
    const { lab, provider } = await foreign()
    provider.become(alice)
    const device = await startDevice(lab)
    const browser = steppingBrowser()
    const callback = await browser.follow(device.authorizeUrl(), `${lab.url}/oauth/callback`)

    const stateless = new URL(callback)
    stateless.searchParams.delete('state')
    expect((await browser.open(stateless.href)).body).toContain('bad_state')
    const guessed = new URL(callback)
    guessed.searchParams.set('state', 'A'.repeat(43))
    expect((await browser.open(guessed.href)).body).toContain('bad_state')
    expect(await countUsers(lab)).toBe(0)

    expect((await browser.open(callback)).location).toContain(device.redirectUri)
    expect(await countUsers(lab)).toBe(1)
    const replayed = await browser.open(callback)
    expect([replayed.status, replayed.location]).toEqual([400, null])
    expect(replayed.body).toContain('bad_state')
  })

  it('brought by another browser is refused and ends that login', async () => {
    const { lab, provider } = await foreign()
    provider.become(alice)
    const device = await startDevice(lab)
    const callback = await steppingBrowser().follow(device.authorizeUrl(), `${lab.url}/oauth/callback`)
    const answer = await steppingBrowser().open(callback)
    expect([answer.status, answer.location]).toEqual([400, null])
    expect(await countUsers(lab)).toBe(0)
  })

  it('with the nonce of another login is refused', async () => {
    const { lab, provider } = await foreign()
    provider.become(alice)
    const device = await startDevice(lab)
    const browser = steppingBrowser()
    const asked = new URL(await browser.follow(device.authorizeUrl(), provider.issuer))
    asked.searchParams.set('nonce', 'B'.repeat(43))
    const callback = await browser.follow(asked.href, `${lab.url}/oauth/callback`)
    const answer = await browser.open(callback)
    expect(answer.location).toContain('bad_answer')
    expect(await countUsers(lab)).toBe(0)
  })

  it.each<[string, Person, Partial<IdentityProvider>, string]>([
    ['an e-mail that is not verified', { ...alice, email_verified: false }, {}, 'email_not_verified'],
    [
      'an e-mail of a domain that is not its own',
      { ...alice, email: 'alice@other.example' },
      {},
      'email_domain_not_allowed',
    ],
    [
      'an e-mail of a domain that only ends like its own',
      { ...alice, email: 'a@evil-example.com' },
      {},
      'email_domain_not_allowed',
    ],
    ['no e-mail at all', { sub: 'a-1' }, {}, 'no_email'],
  ])('with %s invites nobody', async (_, person, changes, code) => {
    const { lab, provider } = await foreign(changes, ({ email }) => email !== undefined)
    provider.become(person)
    const device = await startDevice(lab)
    const { answer } = await device.browse()
    expect(answer?.get('error')).toBe('access_denied')
    expect(answer?.get('error_description')).toContain(code)
    expect(await countUsers(lab)).toBe(0)
  })

  it('of a person in no Group is refused, unless a group of the provider is', async () => {
    const { lab, provider } = await foreign({ scopes: ['email', 'groups'] }, ({ groups }) => groups.includes('dev'))
    provider.become({ ...alice, groups: [] })
    const device = await startDevice(lab)
    expect((await device.browse()).answer?.get('error_description')).toContain('not_invited')
    provider.become(alice)
    await login(device)
    expect(await countUsers(lab)).toBe(1)
  })

  it('a second provider that asserts a known e-mail gets nowhere', async () => {
    const { lab, provider } = await foreign()
    provider.become(alice)
    await login(await startDevice(lab))
    provider.become({ ...alice, sub: 'b-2' })
    const device = await startDevice(lab)
    expect((await device.browse()).answer?.get('error_description')).toContain('email_taken')
    expect(await countUsers(lab)).toBe(1)
  })

  it('of a blocked person is refused', async () => {
    const { lab, provider } = await foreign()
    provider.become(alice)
    const device = await startDevice(lab)
    await login(device)
    await lab.store.db.updateTable('users').set({ blocked: 1 }).execute()
    expect((await device.browse()).answer?.get('error_description')).toContain('user_blocked')
  })

  it('that never comes, because the provider is down, is said to the waiting Client', async () => {
    const lab = await startLab({
      providers: () => [
        {
          name: 'corp',
          type: 'oidc',
          issuer: 'http://127.0.0.1:9',
          clientId: 'sallyport',
          emailDomains: ['example.com'],
        },
      ],
    })
    const { answer } = await (await startDevice(lab)).browse()
    expect(answer?.get('error')).toBe('temporarily_unavailable')
    expect(answer?.get('error_description')).toContain('provider_down')
  })
})

describe('a request for a login', () => {
  it.each([
    ['https://evil.example/callback'],
    ['http://127.0.0.1.evil.example:80/callback'],
    ['http://localhost:4711/callback'],
    ['http://127.0.0.1:4711/callback?next=https://evil.example'],
    ['http://user@127.0.0.1:4711/callback'],
    ['http://127.0.0.1:4711/elsewhere'],
    ['http://127.0.0.1:70000/callback'],
    ['http://0x7f000001:4711/callback'],
    ['javascript:alert(1)'],
  ])('does not redirect to %s', async redirect_uri => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const answer = await steppingBrowser().open(device.authorizeUrl({ redirect_uri }))
    expect([answer.status, answer.location]).toEqual([400, null])
    expect(answer.body).toContain('bad_redirect')
  })

  it.each(['state', 'code_challenge', 'dpop_jkt', 'client_id', 'redirect_uri', 'response_type'])(
    'without %s is refused',
    async member => {
      const lab = await startLab(tryout)
      const device = await startDevice(lab)
      const answer = await steppingBrowser().open(device.authorizeUrl({ [member]: undefined }))
      expect([answer.status, answer.location]).toEqual([400, null])
    },
  )

  it('with a plain code challenge is refused', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const answer = await steppingBrowser().open(device.authorizeUrl({ code_challenge_method: 'plain' }))
    expect(answer.status).toBe(400)
  })

  it('is asked which provider where there are several', async () => {
    const lab = await startLab({
      providers: () => [
        embedded,
        {
          name: 'corp',
          type: 'oidc',
          displayName: '<Corp>',
          issuer: 'http://127.0.0.1:9',
          clientId: 'x',
          emailDomains: [],
        },
      ],
    })
    const device = await startDevice(lab)
    const answer = await steppingBrowser().open(device.authorizeUrl())
    expect(answer.status).toBe(200)
    expect(answer.body).toContain('&#60;Corp&#62;')
    expect(answer.body).toContain('provider=tryout')
    expect((await steppingBrowser().open(device.authorizeUrl({ provider: 'tryout' }))).status).toBe(302)
    expect((await steppingBrowser().open(device.authorizeUrl({ provider: 'none' }))).location).toContain(
      'unknown_provider',
    )
  })
})

describe('a code', () => {
  it('is traded once; its replay ends the login that came of it', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const code = (await device.browse('Alice')).answer?.get('code') ?? ''
    expect((await device.trade(code)).status).toBe(200)
    expect(await liveLogins(lab)).toBe(1)
    expect((await device.trade(code)).body.error).toBe('invalid_grant')
    expect(await liveLogins(lab)).toBe(0)
  })

  it.each<
    [
      string,
      (
        device: Awaited<ReturnType<typeof startDevice>>,
        code: string,
        lab: Lab,
      ) => Promise<{ status: number; body: { error?: string } }>,
      string,
    ]
  >([
    [
      'another device key',
      (device, code, lab) =>
        device.trade(code, {}, device.proof('POST', `${lab.url}/oauth/token`, undefined, generateKeyPair())),
      'invalid_grant',
    ],
    ['another verifier', (device, code) => device.trade(code, { code_verifier: 'C'.repeat(43) }), 'invalid_grant'],
    [
      'another redirect',
      (device, code) => device.trade(code, { redirect_uri: 'http://127.0.0.1:1/callback' }),
      'invalid_grant',
    ],
    [
      'a proof for another URL',
      (device, code, lab) => device.trade(code, {}, device.proof('POST', `${lab.url}/oauth/revoke`)),
      'invalid_dpop_proof',
    ],
    ['garbage for a proof', (device, code) => device.trade(code, {}, 'a.b.c'), 'invalid_dpop_proof'],
  ])('with %s is refused', async (_, attempt, error) => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const code = (await device.browse('Alice')).answer?.get('code') ?? ''
    expect(await attempt(device, code, lab)).toMatchObject({ status: 400, body: { error } })
    expect(await liveLogins(lab)).toBe(0)
  })

  it('with a proof that was used is refused; a proof with nothing behind it takes no room from others', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const proof = device.proof('POST', `${lab.url}/oauth/token`)
    const nothing = () => device.trade('C'.repeat(43), {}, proof)
    expect([(await nothing()).body.error, (await nothing()).body.error]).toEqual(['invalid_grant', 'invalid_grant'])
    const code = (await device.browse('Alice')).answer?.get('code') ?? ''
    expect((await device.trade(code, {}, proof)).status).toBe(200)
    expect((await device.trade(code, {}, proof)).body.error).toBe('invalid_dpop_proof')
    expect(await liveLogins(lab)).toBe(1)
  })

  it('is over after a minute', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const code = (await device.browse('Alice')).answer?.get('code') ?? ''
    lab.pass(60_000)
    expect((await device.trade(code)).body.error).toBe('invalid_grant')
    expect(await liveLogins(lab)).toBe(0)
  })
})

describe('a refresh token', () => {
  it('is replaced at each use; used again it ends all logins of the device, and of no other', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const bystander = await startDevice(lab)
    await login(bystander, 'bob')
    const first = (await login(device, 'Alice')).refresh_token
    const second = await device.refresh(first)
    expect(second.status).toBe(200)
    expect(await liveLogins(lab)).toBe(2)
    const reused = await device.refresh(first)
    expect([reused.status, reused.body.error]).toEqual([400, 'invalid_grant'])
    expect((await device.refresh(second.body.refresh_token ?? '')).body.error).toBe('invalid_grant')
    expect(await liveLogins(lab)).toBe(1)
    const dead = second.body.access_token ?? ''
    await expect(ask(lab, dead, device.proof('GET', `${lab.url}/v1/me`, dead))).rejects.toMatchObject({
      code: 'login_ended',
    })
  })

  it('whose answer was lost is given again to who shows the same retry key, and to nobody else', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const first = (await login(device, 'Alice')).refresh_token
    const retry_key = 'R'.repeat(22)
    expect((await device.refresh(first, { retry_key })).status).toBe(200)
    const again = await device.refresh(first, { retry_key })
    expect(again.status).toBe(200)
    expect((await device.refresh(again.body.refresh_token ?? '', { retry_key: 'S'.repeat(22) })).status).toBe(200)
    expect(await liveLogins(lab)).toBe(1)
    expect((await device.refresh(again.body.refresh_token ?? '', { retry_key: 'T'.repeat(22) })).status).toBe(400)
    expect(await liveLogins(lab)).toBe(0)
  })

  it('is of no use to another key, and is not spent by the attempt', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const { refresh_token } = await login(device, 'Alice')
    const thief = device.proof('POST', `${lab.url}/oauth/token`, undefined, generateKeyPair())
    expect((await device.refresh(refresh_token, {}, thief)).body.error).toBe('invalid_grant')
    expect((await device.refresh(refresh_token)).status).toBe(200)
  })

  it('revoked ends its login', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const { refresh_token } = await login(device, 'Alice')
    const revoke = (token: string) =>
      fetch(`${lab.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ token }) })
    expect((await revoke(`${refresh_token.slice(0, -4)}AAAA`)).status).toBe(200)
    expect(await liveLogins(lab)).toBe(1)
    expect((await revoke(refresh_token)).status).toBe(200)
    expect(await liveLogins(lab)).toBe(0)
    expect((await device.refresh(refresh_token)).body.error).toBe('invalid_grant')
  })

  it('ends with its login and with a block of user or device', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const { refresh_token, access_token } = await login(device, 'Alice')
    const me = () => device.proof('GET', `${lab.url}/v1/me`, access_token)
    await lab.store.db.updateTable('devices').set({ blocked: 1 }).execute()
    expect((await device.refresh(refresh_token)).body.error_description).toContain('device is blocked')
    await expect(ask(lab, access_token, me())).rejects.toMatchObject({ code: 'blocked' })
    await lab.store.db.updateTable('devices').set({ blocked: 0 }).execute()
    await ask(lab, access_token, me())
    lab.pass(7 * 86_400_000)
    expect((await device.refresh(refresh_token)).body.error_description).toContain('over')
  })
})
