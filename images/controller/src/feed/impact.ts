import type { Access } from '../state/access.ts'
import type { Presence } from '../state/presence.ts'
import type { ConnectorKey, Declared } from '../state/row.ts'
import type { TenantState } from '../state/tenant-state.ts'
import type { Change } from '../store/index.ts'

/** What the changes of one commit touch. */
export type Impact = {
  devices: Set<string>
  /** Devices from which the change may have taken something. */
  reduced: Set<string>
  /** Networks whose Connectors get a batch. */
  networks: Set<string>
  /** Networks whose connection tokens say something else from now on. */
  topology: Set<string>
  /** Rows that their operators see differently, and those that are gone. */
  rows: Set<string>
  gone: Declared[]
  /** Resources and Groups on their way to the Connectors. */
  programming: Set<string>
  relays: boolean
  trust: boolean
  /** Connector keys that are no longer good. */
  expelled: ConnectorKey[]
}

type World = { state: TenantState; access: Access; presence: Presence }

/** Reads what has changed into the state in memory, and says what it touches. */
export async function takeChanges(world: World, changes: readonly Change[]): Promise<Impact> {
  const impact: Impact = {
    devices: new Set(),
    reduced: new Set(),
    networks: new Set(),
    topology: new Set(),
    rows: new Set(),
    gone: [],
    programming: new Set(),
    relays: false,
    trust: false,
    expelled: [],
  }
  for (const change of changes) await take(world, change, impact)
  for (const device of impact.devices) world.access.touch(device)
  return impact
}

async function take(world: World, change: Change, impact: Impact): Promise<void> {
  const { state, access } = world
  switch (change.kind) {
    case 'network':
    case 'resource':
    case 'group':
    case 'relay':
    case 'connector':
      return takeDeclared(world, change.uid, impact)
    case 'slot':
      return takeSlot(world, change.uid, impact)
    case 'relayKeys':
      await state.readRelayKeys(change.uid)
      impact.rows.add(change.uid)
      for (const { uid } of state.all('network')) impact.topology.add(uid)
      return
    case 'user':
      await state.readUser(change.id)
      access.personChanged(change.id)
      for (const { row } of state.devicesOf(change.id)) touch(impact, row.id, true)
      return
    case 'device':
      await state.readDevice(change.id)
      touch(impact, change.id, true)
      return
    case 'login':
      await state.readDevice(change.device)
      touch(impact, change.device, true)
      return
    case 'keys':
      impact.trust = true
      return
  }
}

async function takeDeclared(world: World, uid: string, impact: Impact): Promise<void> {
  const { state, access } = world
  const before = state.declared.get(uid)
  await state.readDeclared(uid)
  const after = state.declared.get(uid)
  const row = after ?? before
  if (row === undefined) return
  const { users, networks, mayReduce } = access.declaredChanged(before, after)
  for (const user of users) for (const { row } of state.devicesOf(user)) touch(impact, row.id, mayReduce)
  for (const network of networks) impact.networks.add(network)
  if (after === undefined) impact.gone.push(row)
  else impact.rows.add(uid)
  switch (row.kind) {
    case 'network':
      impact.topology.add(uid)
      return
    case 'resource':
      impact.programming.add(uid)
      for (const group of [...groupsOf(before), ...groupsOf(after)]) impact.programming.add(group)
      return
    case 'group':
      impact.programming.add(uid)
      for (const network of access.networksOfGroup(uid)) impact.networks.add(network)
      return
    case 'relay':
      impact.relays = true
      await state.readRelayKeys(uid)
      for (const { uid: network } of state.all('network')) impact.topology.add(network)
      return
    case 'connector':
      return takeSlot(world, uid, impact)
  }
}

async function takeSlot({ state, presence }: World, uid: string, impact: Impact): Promise<void> {
  const before = state.keysOf(uid)
  await state.readSlot(uid)
  const blocked = state.slots.get(uid)?.row.blocked === 1
  for (const key of before) {
    const kept = state.connectorKeys.get(key.connectorId)
    if (kept === undefined || blocked || kept.network !== key.network) impact.expelled.push(key)
    if (kept === undefined) presence.forget(key.connectorId)
    impact.topology.add(key.network)
  }
  for (const { network } of state.keysOf(uid)) impact.topology.add(network)
  impact.rows.add(uid)
}

function touch(impact: Impact, device: string, mayReduce: boolean): void {
  impact.devices.add(device)
  if (mayReduce) impact.reduced.add(device)
}

const groupsOf = (row: Declared | undefined): string[] =>
  row?.kind === 'resource' ? row.body.groups.filter(group => group !== null) : []
