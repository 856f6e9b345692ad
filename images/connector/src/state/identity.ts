import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '@sallyport/runtime'
import { type ConnectorId, EnrolResponse, parser } from '@sallyport/schema'
import {
  connectorIdOf,
  generateKeyPair,
  type KeyPair,
  keyPairFromPem,
  privateKeyToPem,
  TrustError,
} from '@sallyport/trust'
import { readJsonFile, readTextFile, writeJsonFile } from './json-file.ts'

/** The Connector's key, made here; it never leaves the state directory. */
export type Identity = { keys: KeyPair; keyPem: string; connectorId: ConnectorId }
/** What enrolment has given. */
export type Enrolment = EnrolResponse

const KEY_FILE = 'key.pem'
const ENROLMENT_FILE = 'enrolment.json'
const enrolmentParser = parser(EnrolResponse)

/** Reads the key of an earlier run, or makes one. */
export async function loadIdentity(directory: string): Promise<Identity> {
  const path = join(directory, KEY_FILE)
  const pem = await readTextFile(path)
  const keys = pem === undefined ? undefined : readKey(pem)
  if (keys !== undefined) return identityOf(keys)
  return makeIdentity(directory)
}

/** Makes a new key in place of the one that is known nowhere any more. */
export async function makeIdentity(directory: string): Promise<Identity> {
  const identity = identityOf(generateKeyPair())
  await rm(join(directory, ENROLMENT_FILE), { force: true })
  await writeFileAtomic(join(directory, KEY_FILE), identity.keyPem)
  return identity
}

/** What enrolment gave to this very key, if it has been enrolled. */
export async function loadEnrolment(directory: string, { connectorId }: Identity): Promise<Enrolment | undefined> {
  const enrolment = await readJsonFile(join(directory, ENROLMENT_FILE), enrolmentParser)
  return enrolment?.connectorId === connectorId ? enrolment : undefined
}

export function saveEnrolment(directory: string, enrolment: Enrolment): Promise<void> {
  return writeJsonFile(join(directory, ENROLMENT_FILE), enrolment)
}

function identityOf(keys: KeyPair): Identity {
  return { keys, keyPem: privateKeyToPem(keys.privateKey), connectorId: connectorIdOf(keys.publicKey) }
}

function readKey(pem: string): KeyPair | undefined {
  try {
    return keyPairFromPem(pem)
  } catch (error) {
    // A file that was damaged is as good as none: a new key enrols again.
    if (error instanceof TrustError) return undefined
    throw error
  }
}
