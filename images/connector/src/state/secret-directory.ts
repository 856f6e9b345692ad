import { join } from 'node:path'
import { Secret } from '@sallyport/runtime'
import { ConnectorTrust, parser } from '@sallyport/schema'
import { readJsonFile, readTextFile } from './json-file.ts'

const trustParser = parser(ConnectorTrust)

/** What the operator has put into the Connector's Secret; members are absent while the files are not there or not readable. */
export type SecretFiles = { token?: Secret; trust?: ConnectorTrust }

/** Reads the mounted Secret. */
export async function readSecretDirectory(directory: string): Promise<SecretFiles> {
  const [token, trust] = await Promise.all([
    readTextFile(join(directory, 'token')),
    readJsonFile(join(directory, 'trust.json'), trustParser),
  ])
  return {
    ...(token === undefined || token.trim() === '' ? {} : { token: new Secret(token.trim()) }),
    ...(trust === undefined ? {} : { trust }),
  }
}
