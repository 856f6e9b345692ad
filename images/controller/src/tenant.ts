import type { Clock, Supervisor } from '@sallyport/runtime'
import type { ControllerConfig, TenantConfig } from '@sallyport/schema'
import type { RandomBytes } from '@sallyport/trust'
import { Hub } from './feed/hub.ts'
import type { Sealer } from './key/store-key.ts'
import { openTenantKeys, type TenantKeys } from './key/tenant-key.ts'
import { TenantState } from './state/tenant-state.ts'
import { beginRevisions, ensureTenant, type Store } from './store/index.ts'

/** A configured tenant with its live side. */
export type Tenant = { name: string; config: TenantConfig; keys: TenantKeys; hub: Hub }
export type Tenants = ReadonlyMap<string, Tenant>

export type TenantDeps = {
  store: Store
  sealer: Sealer
  clock: Clock
  supervisor: Supervisor
  random: RandomBytes
  config: ControllerConfig
}

/** Opens every configured tenant, making keys and row of those that are new, and keeps them in step with the store. */
export async function openTenants(deps: TenantDeps): Promise<Tenants> {
  const tenants = new Map<string, Tenant>()
  for (const config of deps.config.tenants) tenants.set(config.name, await openTenant(deps, config))
  deps.store.onCommit(commit => tenants.get(commit.tenant)?.hub.commit(commit))
  return tenants
}

async function openTenant(deps: TenantDeps, config: TenantConfig): Promise<Tenant> {
  const { store, sealer, clock, supervisor, random } = deps
  const { name } = config
  await ensureTenant(store, name, clock.now())
  await beginRevisions(store, name)
  const keys = await openTenantKeys(store, sealer, name, clock)
  const state = new TenantState(store, sealer, name)
  const { flooredRevision } = await state.load()
  const { acl, certificates } = deps.config
  const lives = { defaultAclSeconds: acl.defaultLifetimeSeconds, certificates }
  const hub = new Hub({ store, state, keys, clock, supervisor, random, ...lives, flooredRevision })
  return { name, config, keys, hub }
}
