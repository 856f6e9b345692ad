import { join } from 'node:path'
import {
  CompactJwt,
  ConnectorId,
  Floor,
  HostPort,
  parser,
  RelayName,
  ResourceRule,
  Revision,
  type Static,
  Type,
  Uid,
} from '@sallyport/schema'
import { readJsonFile, writeJsonFile } from './json-file.ts'

const ACCESS_FILE = 'access.json'

/** What lets a Connector go on after a restart without its Controller: one file, replaced at once. */
const SavedState = Type.Object({
  network: Uid,
  connectorId: ConnectorId,
  access: Type.Object({
    revision: Revision,
    acl: Type.Optional(CompactJwt),
    floors: Type.Array(Floor),
    former: Type.Array(Type.Object({ resource: Uid, rule: ResourceRule, untilMs: Type.Integer() })),
  }),
  /** Passes in it are good for the key of `connectorId` alone. */
  relays: Type.Array(Type.Object({ name: RelayName, address: HostPort, pass: CompactJwt })),
  trustUpdate: Type.Optional(
    Type.Object({ jwt: CompactJwt, base: Type.String({ description: 'Hash of the trust.json that it updates.' }) }),
  ),
  clockOffsetMs: Type.Integer(),
})
export type SavedState = Static<typeof SavedState>

const savedState = parser(SavedState)

/** Reads the state of an earlier run; undefined when there is none for this network. */
export async function loadState(directory: string, network: string): Promise<SavedState | undefined> {
  const state = await readJsonFile(join(directory, ACCESS_FILE), savedState)
  return state?.network === network ? state : undefined
}

/** Writes the state; it is on disk when this resolves. */
export function saveState(directory: string, state: SavedState): Promise<void> {
  return writeJsonFile(join(directory, ACCESS_FILE), state)
}
