/** A person's device as the Controller knows it. */

import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type FromClient, ToClient } from '@sallyport/schema'
import { ScriptedBrowser } from '@sallyport/testkit'
import { createDpopProof, deviceIdOf, type KeyPair, randomSecret, thumbprintOf } from '@sallyport/trust'
import { type Call, send } from './call.ts'
import { type Ground, openChannel } from './channel.ts'

/** A device with these keys, logged in. */
export async function deviceHand(
  ground: Ground & { call: Call },
  { tenant, email, keys }: { tenant: string; email: string; keys: KeyPair },
) {
  const { url, ca, call, now } = ground
  const base = tenant === 'default' ? url : `${url}/t/${tenant}`
  let { access, refresh } = await logIn(base, { ca, now }, email, keys)
  const headersFor = (method: string, path: string) => ({
    authorization: `DPoP ${access}`,
    dpop: createDpopProof(keys, { method, url: `${url}${path}`, accessToken: access }, now()),
  })
  return {
    id: deviceIdOf(keys.publicKey),
    keys,
    get access() {
      return access
    },
    headersFor,
    as: (method: string, path: string, body?: unknown) =>
      call(method, path, { headers: headersFor(method, path), body }),
    connect: () => {
      const opened = openChannel<ToClient, FromClient>(ground, '/v1/client', ToClient, {
        headers: async () => headersFor('GET', '/v1/client'),
      })
      opened.onMessage(message => {
        if (message.type === 'synced') opened.channel.send({ type: 'applied', revision: message.revision })
      })
      return opened
    },
    again: async () => {
      ;({ access, refresh } = await logIn(base, { ca, now }, email, keys))
      return refresh
    },
  }
}
export type DeviceHand = Awaited<ReturnType<typeof deviceHand>>

async function logIn(base: string, { ca, now }: Pick<Ground, 'ca' | 'now'>, email: string, keys: KeyPair) {
  let heard: URL | undefined
  const server = createServer((request, response) => {
    heard = new URL(request.url ?? '/', 'http://127.0.0.1')
    response.end('done')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const redirect = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`
  const verifier = randomSecret()
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: 'sallyport',
    redirect_uri: redirect,
    state: randomSecret(),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    dpop_jkt: thumbprintOf(keys.publicKey),
  })
  const page = await new ScriptedBrowser(ca.certificatePem).visit(`${base}/oauth/authorize?${query}`, (_, forms) =>
    forms.find(({ text, fields }) => text.includes(email) || fields.toString().includes(encodeURIComponent(email))),
  )
  server.closeAllConnections()
  server.close()
  const code = heard?.searchParams.get('code')
  if (code === null || code === undefined)
    throw new Error(`no code: ${heard?.search ?? ''} ${page.body.replace(/<[^>]*>/g, ' ').slice(0, 400)}`)
  const form = new URLSearchParams({
    grant_type: 'authorization_code',
    client_id: 'sallyport',
    code,
    redirect_uri: redirect,
    code_verifier: verifier,
  })
  const answer = await send(
    `${base}/oauth/token`,
    ca.certificatePem,
    'POST',
    {
      'content-type': 'application/x-www-form-urlencoded',
      dpop: createDpopProof(keys, { method: 'POST', url: `${base}/oauth/token` }, now()),
    },
    form.toString(),
  )
  if (answer.status !== 200) throw new Error(`no tokens: ${answer.text}`)
  return { access: answer.body.access_token as string, refresh: answer.body.refresh_token as string }
}
