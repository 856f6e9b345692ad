import { hostname } from 'node:os'
import {
  Backoff,
  type Clock,
  ControllerError,
  createControllerClient,
  type Log,
  type ProxySettings,
  RuntimeError,
} from '@sallyport/runtime'
import { type ConnectorTrust, EnrolResponse, parser } from '@sallyport/schema'
import { createEnrolmentProof, publicJwk } from '@sallyport/trust'
import { certificateProblem } from './certificate.ts'
import type { Enrolment, Identity } from './state/identity.ts'
import type { SecretFiles } from './state/secret-directory.ts'
import { controllerCaOf } from './state/trust-view.ts'
import { VERSION } from './version.ts'

const MAX_HOST = 253
const answer = parser(EnrolResponse)

/** Longest wait before the next attempt: one that is not enrolled serves nobody, and a slot that was left is vacant after 15 s. */
const MAX_WAIT_MS = 5_000

export type EnrolOptions = {
  identity: Identity
  /** Reads the mounted Secret. */
  readSecret: () => Promise<SecretFiles>
  /** Resolves after `delayMs`, at once when the Secret changes; rejects when `signal` aborts. */
  pause: (delayMs: number, signal: AbortSignal) => Promise<void>
  /** Why there is no enrolment yet, in a sentence. */
  onWaiting: (reason: string) => void
  proxy: ProxySettings
  clock: Clock
  random: () => number
  log: Log
  signal: AbortSignal
}

/**
 * Enrols the key with the token of the Secret, and goes on until it succeeds: whatever was refused or lost, the Secret is read again and tried
 * again, at once when it changes. The same token with the same key gets the same answer, so a lost reply costs nothing.
 */
export async function enrol(options: EnrolOptions): Promise<Enrolment> {
  const { readSecret, pause, onWaiting, random, log, signal } = options
  const backoff = new Backoff(random, MAX_WAIT_MS)
  let told = ''
  for (;;) {
    signal.throwIfAborted()
    const { token, trust } = await readSecret()
    const reason =
      trust === undefined
        ? 'there is no readable trust.json in the Secret yet'
        : token === undefined
          ? 'there is no token in the Secret yet'
          : await attempt(options, trust, token.reveal())
    if (typeof reason !== 'string') return reason
    onWaiting(reason)
    if (reason !== told) log.warn({ reason }, 'not enrolled yet')
    told = reason
    await pause(backoff.next(), signal)
  }
}

async function attempt(
  { identity, proxy, clock, signal }: EnrolOptions,
  trust: ConnectorTrust,
  token: string,
): Promise<Enrolment | string> {
  const client = createControllerClient({ url: trust.controllerUrl, ca: () => controllerCaOf(trust), proxy, clock })
  try {
    const enrolment = await client.request({
      method: 'POST',
      path: '/v1/enroll',
      body: {
        token,
        publicKey: publicJwk(identity.keys.publicKey),
        proof: createEnrolmentProof(identity.keys, token, clock.now()),
        version: VERSION,
        host: hostname().slice(0, MAX_HOST),
      },
      answer,
      signal,
    })
    return answerProblem(enrolment, identity, trust) ?? enrolment
  } catch (error) {
    if (error instanceof ControllerError) return `the Controller refuses (${error.code}): ${error.message}`
    if (error instanceof RuntimeError && error.code !== 'aborted') return error.message
    throw error
  } finally {
    client.close()
  }
}

function answerProblem(enrolment: Enrolment, identity: Identity, trust: ConnectorTrust): string | undefined {
  if (enrolment.connectorId !== identity.connectorId) return 'the Controller has answered for another key'
  if (enrolment.network !== trust.network) return 'the Controller has answered for another Remote Network'
  return certificateProblem(enrolment.certificate, identity, trust)
}
