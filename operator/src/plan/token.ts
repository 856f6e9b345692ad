import type { SlotState } from '@sallyport/schema'
import { type Secret, secretData, secretText } from '../object.ts'

/** Id of the token that the Secret holds, and when the next one is issued. */
export const TOKEN_ID_ANNOTATION = 'sallyport.dev/token-id'
export const TOKEN_RENEW_ANNOTATION = 'sallyport.dev/token-renew-at'

/** Part of a token's life after which it is replaced. */
const RENEW_AFTER = 0.75

/** When a token that is good from `nowMs` until `expiresAtMs` is replaced. */
export function renewTokenAtMs(nowMs: number, expiresAtMs: number): number {
  return nowMs + (expiresAtMs - nowMs) * RENEW_AFTER
}

/**
 * Whether the Secret has to have another token. The one that it holds is not replaced early while no Connector is there: a new pod may have mounted
 * it, and would wait for the kubelet to bring the next.
 */
export function wantsToken(slot: SlotState, secret: Secret | undefined, nowMs: number): boolean {
  return !holdsToken(slot, secret, nowMs) || nowMs >= replaceTokenAtMs(slot, secret)
}

/** Whether the Secret has a token that a new pod could enrol with. */
export function holdsToken(slot: SlotState | undefined, secret: Secret | undefined, nowMs: number): boolean {
  if (slot?.tokenState !== 'live' || slot.tokenId === undefined || nowMs >= endOf(slot)) return false
  return (
    secretText(secret, 'token') !== undefined && secret?.metadata.annotations?.[TOKEN_ID_ANNOTATION] === slot.tokenId
  )
}

/** When the token of a Secret is replaced at the latest. */
export const replaceTokenAtMs = (slot: SlotState, secret: Secret | undefined) =>
  slot.connected ? renewAtMs(secret) : endOf(slot)

const endOf = ({ tokenExpiresAtMs = 0 }: SlotState) => tokenExpiresAtMs

function renewAtMs(secret: Secret | undefined): number {
  const at = Date.parse(secret?.metadata.annotations?.[TOKEN_RENEW_ANNOTATION] ?? '')
  return Number.isNaN(at) ? 0 : at
}

/** The Secret with a token in it. */
export function withToken(secret: Secret, token: string, id: string, renewAt: string): Secret {
  const annotations = { [TOKEN_ID_ANNOTATION]: id, [TOKEN_RENEW_ANNOTATION]: renewAt }
  return {
    ...secret,
    metadata: { ...secret.metadata, annotations },
    data: { ...secret.data, ...secretData({ token }) },
  }
}
