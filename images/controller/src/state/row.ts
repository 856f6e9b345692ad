import type { GroupBody, NetworkBody, Programming, RelayBody, ResourceBody, SlotBody } from '@sallyport/schema'
import type { RelayKey } from '@sallyport/trust'
import type { DeviceRow, LoginRow, SlotRow } from '../store/index.ts'

type Common = { uid: string; source: string; digest: string; revision: number; programming: Programming | undefined }

/** A declared row with its body as a value. */
export type Declared = Common &
  (
    | { kind: 'network'; body: NetworkBody }
    | { kind: 'connector'; body: SlotBody }
    | { kind: 'resource'; body: ResourceBody }
    | { kind: 'group'; body: GroupBody }
    | { kind: 'relay'; body: RelayBody }
  )
export type DeclaredOf<K extends Declared['kind']> = Extract<Declared, { kind: K }>

/** A Connector key that is bound to a slot. */
export type ConnectorKey = {
  connectorId: string
  slot: string
  network: string
  jkt: string
  pin: string
  publicJwk: string
  version: string
  host: string
  drainingAtMs: number | undefined
  /** It was occupying its slot when the state was written last. */
  occupied: boolean
}

/** State of a slot and of the enrolment token issued for it last. */
export type SlotState = {
  row: SlotRow
  token: { id: string; expiresAtMs: number; usedAtMs: number | undefined } | undefined
}

/** Capability key of a Relay. */
export type HeldRelayKey = {
  key: RelayKey
  createdAtMs: number
  acknowledgedAtMs: number | undefined
  activeAtMs: number | undefined
  dropAtMs: number | undefined
}

/** A person with what decides about access. */
export type Person = {
  id: string
  provider: string
  email: string
  emailVerified: boolean
  groups: string[]
  blocked: boolean
}

/** A device and its login that lives, or lived last. */
export type HeldDevice = { row: DeviceRow; login: LoginRow | undefined }
