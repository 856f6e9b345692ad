/** A Connector as the Controller knows it. */

import { type FromConnector, ToConnector } from '@sallyport/schema'
import {
  connectorIdOf,
  createControllerAssertion,
  createEnrolmentProof,
  type KeyPair,
  publicJwk,
} from '@sallyport/trust'
import type { Call } from './call.ts'
import { type Ground, openChannel } from './channel.ts'

/** A Connector with these keys. */
export function connectorHand(ground: Ground & { call: Call }, keys: KeyPair) {
  const id = connectorIdOf(keys.publicKey)
  const enrolRequest = (token: string) => ({
    token,
    publicKey: publicJwk(keys.publicKey),
    proof: createEnrolmentProof(keys, token, ground.now()),
    version: '0.1.0',
    host: 'pod',
  })
  return {
    id,
    keys,
    enrolRequest,
    enrol: (token: string) => ground.call('POST', '/v1/enroll', { body: enrolRequest(token) }),
    /** Connects, says hello and which sessions it has, and acknowledges every batch. */
    connect: (sessions: (FromConnector & { type: 'sessions' })['sessions'] = []) => {
      const opened = openChannel<ToConnector, FromConnector>(ground, '/v1/connector', ToConnector, {
        headers: async () => ({ authorization: `Bearer ${createControllerAssertion(keys, ground.now())}` }),
      })
      opened.onMessage(message => {
        if (message.type === 'welcome') {
          opened.channel.send({ type: 'hello', version: '0.1.0', host: 'pod', revision: 0, nowMs: ground.now() })
          opened.channel.send({ type: 'sessions', complete: true, sessions })
        }
        if (message.type === 'synced') opened.channel.send({ type: 'applied', revision: message.revision })
      })
      return opened
    },
  }
}
