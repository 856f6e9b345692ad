import type { EventReason, Kind, Reason } from '@sallyport/schema'
import { type AnyKind, type Declared, type KubeObject, type Statuses, whose } from './object.ts'
import type { Change, ObjectStore } from './store.ts'

/** A word to people about an object. */
export type ObjectEvent = { type: 'Normal' | 'Warning'; reason: Reason | EventReason; message: string }

/** What an Event can be about. */
export type Told = Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>

/** Where objects are declared, and where their children live. */
export type Provider = {
  readonly platform: 'cluster' | 'host'
  readonly store: ObjectStore
  /** Lists everything and then follows it; resolves when all kinds have been listed. */
  start(): Promise<void>
  /** Lists everything again. Answers the kinds of which that failed. */
  resync(): Promise<AnyKind[]>
  /** Asks by its name for an object that a list lacks. Answers whether there is one: the store has it then as it is. */
  seek(kind: AnyKind, object: KubeObject): Promise<boolean>
  /** Why what is in the store may be out of date; undefined when it is not. */
  stale(): string | undefined
  /** Why it cannot be seen who leads; undefined while it can. */
  leaderless(): string | undefined
  /** Server-side apply of exactly these fields. Throws `refused` where something of that name is not the operator's. */
  apply(object: KubeObject): Promise<void>
  /** Makes room for {@link apply}: removes what a former owner has left. Throws `refused` where apply would. */
  makeRoom(object: KubeObject): Promise<void>
  /** Makes an object unless there is one of its name. */
  create(object: KubeObject): Promise<void>
  remove(object: KubeObject): Promise<void>
  writeStatus(object: Declared, status: Statuses[Kind]): Promise<void>
  event(object: Told, event: ObjectEvent): Promise<void>
  /** Tells of something about the operator itself, where people look for it. */
  announce(event: ObjectEvent): Promise<void>
  /** Code with which a person has confirmed a removal. */
  confirmation(): Promise<string | undefined>
  /** The operator's token for the Controller. */
  token(): Promise<string>
  /** Resolves when this process is the one that acts; `onLost` when it is no longer. */
  lead(onLost: (reason: string) => void): Promise<void>
  /** Ends everything, leadership last. */
  close(): Promise<void>
}

export type ChangeListener = (change: Change) => void

/** The API or a directory refused what the operator asked for. */
export class ProviderError extends Error {
  override readonly name = 'ProviderError'
  readonly code: 'conflict' | 'not_found' | 'refused' | 'unavailable'

  constructor(code: ProviderError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Whether an HTTP status says nothing about what was asked, so that the same may go through later: the token, the load, the server. */
export const isPassing = (status: number): boolean =>
  status === 401 || status === 408 || status === 429 || status >= 500

/** Throws `refused` where `live`, which stands under the name of `wanted`, is someone else's. Answers whether it has to go first. */
export function isFormer(wanted: KubeObject, live: KubeObject | undefined): boolean {
  if (live === undefined) return false
  const { kind, metadata } = wanted
  switch (whose(wanted, live)) {
    case 'ours':
      return false
    case 'former':
      return true
    case 'foreign': {
      const name = `${kind} ${metadata.namespace}/${metadata.name}`
      throw new ProviderError('refused', `${name} is there already and not the operator's for this object: rename one`)
    }
  }
}
