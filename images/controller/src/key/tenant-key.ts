import { type Jwks, MAX_JWKS_KEYS } from '@sallyport/schema'
import {
  type CertificateAuthority,
  caFromPem,
  caKeyToPem,
  createCa,
  joinBundle,
  jwksOf,
  KEY_PURPOSES,
  type KeyPurpose,
  privateKeyToPem,
  publicJwk,
  type Rotation,
  type SigningKey,
  signingKey,
  thumbprintOf,
  type VerifyKeys,
  verifyKeys,
} from '@sallyport/trust'
import type { SigningKeyRow, Store } from '../store/index.ts'
import type { Sealer } from './store-key.ts'

/** Life of a tenant's certificate authority. */
const CA_LIFE_SECONDS = 10 * 365 * 86_400

/** When signing keys are replaced; `overlapSeconds` is how long a replaced one stays trusted. */
export type RotationPolicy = { rotationSeconds: number; announceSeconds: number; overlapSeconds: number }

/** All keys of one tenant, in memory. */
export type TenantKeys = {
  signing<P extends KeyPurpose>(purpose: P): Rotation<SigningKey<P>>
  verifying(purpose: KeyPurpose): VerifyKeys
  jwks(purpose: KeyPurpose): Jwks
  authority: CertificateAuthority
  /** PEM of every certificate authority that is trusted. */
  caBundle: string
  /**
   * Announces and retires keys by `policy`, or later where {@link MAX_JWKS_KEYS} are still trusted; true when something changed that others must hear
   * of.
   */
  rotate(policy: RotationPolicy): Promise<boolean>
}

type Held = { row: SigningKeyRow; key: SigningKey }

/** Loads a tenant's keys, making those that it has not yet. */
export async function openTenantKeys(
  store: Store,
  sealer: Sealer,
  tenant: string,
  clock: { now(): number },
): Promise<TenantKeys> {
  for (const purpose of KEY_PURPOSES) await ensureSigningKey(store, sealer, tenant, purpose, clock.now())
  const authorities = await openAuthorities(store, sealer, tenant, clock.now())
  let held = await loadKeys(store, sealer, tenant)

  const signing = <P extends KeyPurpose>(purpose: P) => rotationOf(held, purpose, clock.now())
  return {
    signing,
    verifying: purpose => verifyKeys(jwksOf(signing(purpose))),
    jwks: purpose => jwksOf(signing(purpose)),
    authority: authorities[0]!,
    caBundle: joinBundle(authorities.map(({ certificatePem }) => certificatePem)),
    rotate: async policy => {
      const changed = await rotateKeys(store, sealer, tenant, held, clock.now(), policy)
      if (changed) held = await loadKeys(store, sealer, tenant)
      return changed
    },
  }
}

/** The rotation that rows make up at `nowMs`: the youngest active one signs, one not yet active is announced. */
function rotationOf<P extends KeyPurpose>(held: readonly Held[], purpose: P, nowMs: number): Rotation<SigningKey<P>> {
  const own = held
    .filter(({ key }) => key.purpose === purpose)
    .map(({ row, key }) => ({ row, item: key as SigningKey<P> })) // Its purpose has just been compared.
    .sort((a, b) => b.row.activeAtMs - a.row.activeAtMs)
  const current = own.find(({ row }) => row.activeAtMs <= nowMs)
  if (current === undefined) throw new Error(`no ${purpose} key is active`)
  const next = own.find(({ row }) => row.activeAtMs > nowMs)
  const retired = own.flatMap(({ row, item }) =>
    row.activeAtMs <= nowMs && item !== current.item && row.retiredAtMs !== null && row.retiredAtMs > nowMs
      ? [{ item, untilMs: row.retiredAtMs }]
      : [],
  )
  return { current: current.item, retired, ...(next && { next: next.item }) }
}

async function rotateKeys(
  store: Store,
  sealer: Sealer,
  tenant: string,
  held: readonly Held[],
  nowMs: number,
  policy: RotationPolicy,
): Promise<boolean> {
  let changed = false
  for (const purpose of KEY_PURPOSES) {
    const { current, next, retired } = rotationOf(held, purpose, nowMs)
    const age = nowMs - held.find(({ key }) => key === current)!.row.activeAtMs
    const isFull = retired.length + 2 > MAX_JWKS_KEYS
    if (next !== undefined || isFull || age < policy.rotationSeconds * 1000) continue
    const activeAtMs = nowMs + policy.announceSeconds * 1000
    await insertKey(store, sealer, tenant, purpose, nowMs, activeAtMs)
    await store.db
      .updateTable('signingKeys')
      .set({ retiredAtMs: activeAtMs + policy.overlapSeconds * 1000 })
      .where('tenant', '=', tenant)
      .where('kid', '=', current.kid)
      .execute()
    changed = true
  }
  const { numDeletedRows } = await store.db
    .deleteFrom('signingKeys')
    .where('tenant', '=', tenant)
    .where('retiredAtMs', '<=', nowMs)
    .executeTakeFirst()
  return changed || numDeletedRows > 0n
}

async function ensureSigningKey(store: Store, sealer: Sealer, tenant: string, purpose: KeyPurpose, nowMs: number) {
  const known = await store.db
    .selectFrom('signingKeys')
    .select('kid')
    .where('tenant', '=', tenant)
    .where('purpose', '=', purpose)
    .where('activeAtMs', '<=', nowMs)
    .executeTakeFirst()
  if (known === undefined) await insertKey(store, sealer, tenant, purpose, nowMs, nowMs)
}

async function insertKey(
  store: Store,
  sealer: Sealer,
  tenant: string,
  purpose: KeyPurpose,
  createdAtMs: number,
  activeAtMs: number,
): Promise<void> {
  const { kid, privateKey, publicKey } = signingKey(purpose)
  const sealedKey = sealer.seal(signingPurpose(tenant, kid), privateKeyToPem(privateKey))
  const row = { tenant, purpose, kid, sealedKey, publicJwk: JSON.stringify(publicJwk(publicKey)) }
  await store.db
    .insertInto('signingKeys')
    .values({ ...row, createdAtMs, activeAtMs, retiredAtMs: null })
    .execute()
}

async function loadKeys(store: Store, sealer: Sealer, tenant: string): Promise<Held[]> {
  const rows = await store.db.selectFrom('signingKeys').selectAll().where('tenant', '=', tenant).execute()
  return rows.map(row => {
    const purpose = KEY_PURPOSES.find(known => known === row.purpose)
    if (purpose === undefined) throw new Error(`signing key of unknown purpose "${row.purpose}"`)
    return { row, key: signingKey(purpose, sealer.openText(signingPurpose(tenant, row.kid), row.sealedKey)) }
  })
}

async function openAuthorities(store: Store, sealer: Sealer, tenant: string, nowMs: number) {
  const read = () =>
    store.db
      .selectFrom('authorities')
      .selectAll()
      .where('tenant', '=', tenant)
      .where(({ eb, or }) => or([eb('retiredAtMs', 'is', null), eb('retiredAtMs', '>', nowMs)]))
      .orderBy('createdAtMs', 'desc')
      .execute()
  if ((await read()).length === 0) {
    const made = createCa({ commonName: `Sallyport tenant ${tenant}` }, { nowMs, lifeSeconds: CA_LIFE_SECONDS })
    const id = thumbprintOf(made.privateKey)
    const sealedKey = sealer.seal(authorityPurpose(tenant, id), caKeyToPem(made))
    const row = { tenant, id, certificate: made.certificatePem, sealedKey, createdAtMs: nowMs, retiredAtMs: null }
    await store.db.insertInto('authorities').values(row).execute()
  }
  return (await read()).map(({ id, certificate, sealedKey }) =>
    caFromPem({ certificatePem: certificate, keyPem: sealer.openText(authorityPurpose(tenant, id), sealedKey) }),
  )
}

const signingPurpose = (tenant: string, kid: string) => `signing-key:${tenant}:${kid}`
const authorityPurpose = (tenant: string, id: string) => `authority:${tenant}:${id}`
