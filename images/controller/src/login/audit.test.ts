import type { IdentityProvider } from '@sallyport/schema'
import { generateKeyPair, thumbprintOf } from '@sallyport/trust'
import { afterEach, describe, expect, it } from 'vitest'
import { closeLabs, type Device, type Lab, login, startDevice, startLab } from './login-lab.ts'

afterEach(closeLabs)

const embedded: IdentityProvider = {
  name: 'tryout',
  type: 'embedded',
  embedded: true,
  accounts: [{ email: 'Alice@example.com' }, { email: 'bob@example.com' }],
}
const tryout = { providers: () => [embedded] }

async function audited({ store }: Lab) {
  const rows = await store.db.selectFrom('audit').selectAll().orderBy('seq').execute()
  return rows.map(({ actor, action, target, before, after }) => ({
    actor,
    action,
    target,
    before: before && JSON.parse(before),
    after: after && JSON.parse(after),
  }))
}
const endsOf = async (lab: Lab) =>
  (await audited(lab)).flatMap(({ actor, action, after }) =>
    action === 'login.end' ? [{ actor, reason: after.reason, device: after.device }] : [],
  )
const userOf = async ({ store }: Lab, email: string) =>
  (await store.db.selectFrom('users').select('id').where('email', '=', email).executeTakeFirstOrThrow()).id
const codeFor = async (device: Device, account: string) => (await device.browse(account)).answer?.get('code') ?? ''

describe('the audit log', () => {
  it('says who has logged in on which device, and by which provider', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const { refresh_token } = await login(device, 'Alice')
    const user = await userOf(lab, 'alice@example.com')
    const actor = 'user:alice@example.com'
    const id = /^spr_([^.]+)\./.exec(refresh_token)?.[1]
    expect(await audited(lab)).toEqual([
      { actor, action: 'device.bind', target: device.id, before: null, after: { user } },
      {
        actor,
        action: 'login.begin',
        target: id,
        before: null,
        after: { user, device: device.id, provider: 'tryout' },
      },
    ])
    await device.refresh(refresh_token)
    expect(await audited(lab)).toHaveLength(2)
  })

  it('says that a device has gone over to another person, and that the login there was replaced', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    await login(device, 'Alice')
    await login(device, 'Alice')
    const binds = async () => (await audited(lab)).filter(({ action }) => action === 'device.bind')
    expect(await binds()).toHaveLength(1)
    await login(device, 'bob')
    const [alice, bob] = [await userOf(lab, 'alice@example.com'), await userOf(lab, 'bob@example.com')]
    expect((await binds())[1]).toMatchObject({ before: { user: alice }, after: { user: bob } })
    const end = { actor: 'user:alice@example.com', reason: 'replaced', device: device.id }
    expect(await endsOf(lab)).toEqual([end, end])
  })

  it.each<[string, Partial<IdentityProvider>, string, string]>([
    ['a person whom nobody has invited', {}, 'not_invited', 'user:alice@example.com'],
    ['an e-mail of a foreign domain', { emailDomains: ['other.com'] }, 'email_domain_not_allowed', 'user:tryout/'],
  ])('names the refusal of %s', async (_, changes, code, actor) => {
    const lab = await startLab({ providers: () => [{ ...embedded, ...changes }], invited: () => false })
    const device = await startDevice(lab)
    expect(await codeFor(device, 'Alice')).toBe('')
    const rows = await audited(lab)
    const after = { code, jkt: thumbprintOf(device.keys.publicKey) }
    expect(rows).toMatchObject([{ action: 'login.refuse', target: 'tryout', before: null, after }])
    expect(rows[0]?.actor).toContain(actor)
  })

  it('names the refusal of who or what is blocked', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    await login(device, 'Alice')
    await lab.store.db.updateTable('devices').set({ blocked: 1 }).execute()
    expect((await device.trade(await codeFor(device, 'Alice'))).status).toBe(400)
    await lab.store.db.updateTable('users').set({ blocked: 1 }).execute()
    expect(await codeFor(device, 'Alice')).toBe('')
    const refused = (await audited(lab)).flatMap(({ action, after }) => (action === 'login.refuse' ? [after.code] : []))
    expect(refused).toEqual(['device_blocked', 'user_blocked'])
  })

  it('names a code that another device key brings', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const thief = device.proof('POST', `${lab.url}/oauth/token`, undefined, generateKeyPair())
    expect((await device.trade(await codeFor(device, 'Alice'), {}, thief)).status).toBe(400)
    expect(await audited(lab)).toMatchObject([{ action: 'login.refuse', after: { code: 'invalid_grant' } }])
  })

  it('says of each end why: a logout, a refresh token used twice, a code used twice', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    const revoke = (token: string) =>
      fetch(`${lab.url}/oauth/revoke`, { method: 'POST', body: new URLSearchParams({ token }) })
    const { refresh_token } = await login(device, 'Alice')
    await revoke(refresh_token)
    await revoke(refresh_token)

    const reused = (await login(device, 'Alice')).refresh_token
    await device.refresh(reused)
    await device.refresh(reused)

    const code = await codeFor(device, 'Alice')
    await device.trade(code)
    await device.trade(code)
    await device.trade(code)
    expect(await endsOf(lab)).toEqual([
      { actor: 'user:alice@example.com', reason: 'logout', device: device.id },
      { actor: 'controller', reason: 'refresh_reused', device: device.id },
      { actor: 'controller', reason: 'code_replayed', device: device.id },
    ])
  })

  it('holds nothing with which anyone could log in, and does not grow by what strangers ask for', async () => {
    const lab = await startLab(tryout)
    const device = await startDevice(lab)
    await fetch(`${lab.url}/oauth/callback?state=stranger`)
    await device.trade('no-such-code')
    await device.refresh(`spr_${'A'.repeat(22)}.${'B'.repeat(43)}`)
    expect(await audited(lab)).toEqual([])
    const code = await codeFor(device, 'Alice')
    const { body } = await device.trade(code)
    const text = JSON.stringify(await audited(lab))
    for (const secret of [
      code,
      device.clientState,
      body.access_token ?? '',
      (body.refresh_token ?? '').split('.')[1] ?? '',
    ])
      expect(secret !== '' && text.includes(secret)).toBe(false)
  })
})
