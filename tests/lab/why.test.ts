/** `sallyport why` names the check that refuses. */
import {
  ADA,
  eventually,
  freePorts,
  Lab,
  type Manifest,
  SECRET_HOST,
  startDeafService,
  WEB_HOST,
} from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

type Verdict = { reason: string; steps: { check: string; ok: boolean; detail: string }[] }

const resource = (name: string, address: string, spec: object = {}): Manifest => ({
  apiVersion: 'sallyport.dev/v1alpha1',
  kind: 'Resource',
  metadata: { name },
  spec: { remoteNetworkRef: { name: 'office' }, address, access: [{ group: 'developers' }], ...spec },
})

let lab: Lab
let deaf: Awaited<ReturnType<typeof startDeafService>>
beforeAll(async () => {
  lab = await Lab.start({
    members: [ADA],
    objects: objects => [
      ...objects,
      resource('guarded', 'guarded.office.internal'),
      resource('silent', 'silent.office.internal'),
      resource('visible', SECRET_HOST, { access: [], visible: true }),
      resource('hidden', 'hidden.office.internal', { access: [] }),
      resource('over', 'over.office.internal', {
        access: [{ group: 'developers', expiresAt: '2020-01-01T00:00:00Z' }],
      }),
      resource('closed', 'closed.office.internal'),
      resource('unknown', 'unknown.office.internal'),
    ],
  })
  lab.dns.records.set('guarded.office.internal', ['169.254.169.254'])
  lab.dns.records.set('closed.office.internal', ['127.0.0.1'])
  lab.dns.records.set('silent.office.internal', ['127.0.0.1'])
  deaf = await startDeafService()
})
afterAll(async () => {
  await lab?.close()
  await deaf?.close()
})

const why = async (destination: string): Promise<Verdict & { exit: number | string }> => {
  const { code, stdout } = await lab.device.run(['why', destination, '--json'])
  return { ...(JSON.parse(stdout) as Verdict), exit: code }
}

describe('sallyport why', () => {
  it('says that nobody is logged in', async () => {
    expect(await why(`${WEB_HOST}:80`)).toMatchObject({ reason: 'not_logged_in', exit: 3 })
  })

  describe('when Ada is logged in', () => {
    let closedPort: number
    beforeAll(async () => {
      ;[closedPort] = (await freePorts(1)) as [number]
      await lab.login()
    })
    it('finds nothing to refuse where nothing refuses', async () => {
      const verdict = await why(`${WEB_HOST}:${lab.web.port}`)
      expect(verdict).toMatchObject({ exit: 0 })
      expect(verdict.steps.every(({ ok }) => ok)).toBe(true)
    })
    it.each([
      ['no such name', () => 'nobody.office.internal:80', 'no_such_name', 4],
      ['a Resource that she may not know of', () => 'hidden.office.internal:80', 'no_such_name', 4],
      ['a visible Resource that is not granted', () => `${SECRET_HOST}:80`, 'not_granted', 4],
      ['a port that is not granted', () => `${WEB_HOST}:1`, 'port_not_granted', 4],
      ['a Resource that refuses', () => `closed.office.internal:${closedPort}`, 'refused', 5],
      ['a name that the Connector cannot resolve', () => 'unknown.office.internal:80', 'name_not_found', 5],
      ['a guarded address', () => 'guarded.office.internal:80', 'guarded_address', 4],
      ['a Resource that times out', () => `silent.office.internal:${deaf.port}`, 'timeout', 5],
      ['a grant that had ended before she logged in', () => 'over.office.internal:80', 'no_such_name', 4],
    ])('%s', async (_, destination, reason, exit) => {
      const verdict = await why(destination())
      expect(verdict.reason).toBe(reason)
      expect(verdict.exit).toBe(exit)
      expect(verdict.steps.filter(({ ok }) => !ok)).toHaveLength(1)
      expect(verdict.steps.at(-1)).toMatchObject({ ok: false })
    })
    it('a grant that ends while she is logged in', async () => {
      const grant = (end: object) =>
        lab.installation.write(resource('brief', 'over.office.internal', { access: [{ group: 'developers', ...end }] }))
      const reason = async () => (await why('over.office.internal:80')).reason
      lab.installation.remove('Resource', 'over')
      grant({})
      await eventually('the grant', async () => (await reason()) !== 'no_such_name')
      grant({ expiresAt: new Date(performance.timeOrigin + performance.now() + 20_000).toISOString() })
      await eventually('the end', async () => (await reason()) === 'expired')
      const verdict = await why('over.office.internal:80')
      expect(verdict).toMatchObject({ reason: 'expired', exit: 4 })
      expect(verdict.steps.filter(({ ok }) => !ok)).toHaveLength(1)
    })
    it('Connectors down', async () => {
      for (const name of ['office-a', 'office-b']) await lab.installation.kill(name)
      const verdict = await eventually('the Connectors to be missed', async () => {
        const answer = await why(`${WEB_HOST}:${lab.web.port}`)
        return answer.reason === 'connector_down' && answer
      })
      expect(verdict).toMatchObject({ exit: 5 })
      for (const name of ['office-a', 'office-b']) lab.installation.revive(name)
      await eventually('them to be back', async () => (await why(`${WEB_HOST}:${lab.web.port}`)).exit === 0)
    })
    it('Relays down', async () => {
      for (const name of ['relay-0', 'relay-1']) await lab.installation.kill(name)
      const verdict = await why(`${WEB_HOST}:${lab.web.port}`)
      expect(verdict).toMatchObject({ reason: 'relay_down', exit: 5 })
      for (const name of ['relay-0', 'relay-1']) lab.installation.revive(name)
      await eventually('them to be back', async () => (await why(`${WEB_HOST}:${lab.web.port}`)).exit === 0)
    })
  })
})
