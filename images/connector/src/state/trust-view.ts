import type { ConnectorTrust, NetworkId } from '@sallyport/schema'
import { sha256, toBase64Url, verifyKeys, verifyTrustUpdate } from '@sallyport/trust'
import type { AccessTrust } from '../access/access-state.ts'
import type { SavedState } from './saved-state.ts'

/** Whom the Connector trusts at this moment: `trust.json`, or what a key of it has signed since. */
export class TrustView {
  #base: ConnectorTrust
  #baseHash: string
  #effective: ConnectorTrust
  #update: SavedState['trustUpdate']
  #access: AccessTrust

  /** Throws TrustError when `base` holds keys that are none. */
  constructor(base: ConnectorTrust) {
    this.#base = base
    this.#baseHash = hashOf(base)
    this.#effective = base
    this.#access = accessTrustOf(base)
  }

  get current(): ConnectorTrust {
    return this.#effective
  }

  get access(): AccessTrust {
    return this.#access
  }

  /** The update in force, to be kept for a restart. */
  get update(): SavedState['trustUpdate'] {
    return this.#update
  }

  /** Takes a new `trust.json`, which replaces all earlier updates; false when it is the same. Throws TrustError. */
  replace(base: ConnectorTrust): boolean {
    const hash = hashOf(base)
    if (hash === this.#baseHash) return false
    this.#access = accessTrustOf(base)
    this.#base = base
    this.#baseHash = hash
    this.#effective = base
    this.#update = undefined
    return true
  }

  /** Takes an update signed by a Connector ACL key that is trusted. Throws TrustError. */
  take(jwt: string, nowMs: number): void {
    const { issuer, network, connectorAclKeys: keys } = this.#access
    const { tenantCa, jwks } = verifyTrustUpdate(jwt, { issuer, network, keys, nowMs })
    const next = { ...this.#base, tenantCa, jwks }
    this.#access = accessTrustOf(next)
    this.#effective = next
    this.#update = { jwt, base: this.#baseHash }
  }

  /** Takes up the update of an earlier run, if it was made to this very `trust.json` and is still valid. */
  restore(saved: SavedState['trustUpdate'], nowMs: number): void {
    if (saved === undefined || saved.base !== this.#baseHash) return
    try {
      this.take(saved.jwt, nowMs)
    } catch {
      // What the file says holds until the Controller sends the next one.
    }
  }
}

/** PEM of the CAs that vouch for the Controller; undefined for the system's. */
export const controllerCaOf = ({ publicCa, installationCa }: ConnectorTrust): string | undefined =>
  publicCa === true ? undefined : installationCa

function accessTrustOf({ issuer, network, jwks }: ConnectorTrust): AccessTrust {
  return {
    issuer,
    network: network as NetworkId,
    clientAclKeys: verifyKeys(jwks.clientAcl),
    connectorAclKeys: verifyKeys(jwks.connectorAcl),
  }
}

const hashOf = (trust: ConnectorTrust) => toBase64Url(sha256(JSON.stringify(trust)))
