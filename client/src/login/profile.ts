import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '@sallyport/runtime'
import { parser, type Static, Type } from '@sallyport/schema'
import { generateKeyPair, type KeyPair, keyPairFromPem, privateKeyToPem } from '@sallyport/trust'

const ProfileSchema = Type.Object({
  /** Login URL of the tenant, without the pin. */
  url: Type.String({ maxLength: 2048 }),
  /** Base of REST API and control channel. */
  controllerUrl: Type.String({ maxLength: 2048 }),
  /** PEM of the CA that was pinned; absent: the public ones. */
  ca: Type.Optional(Type.String({ maxLength: 65_536 })),
  refreshToken: Type.Optional(Type.String({ maxLength: 128 })),
  /** Shown again when the answer to a refresh was lost. */
  retryKey: Type.Optional(Type.String({ maxLength: 64 })),
})
/** A login, as it is kept between runs. Without refresh token: logged out, but the Controller is known. */
export type Profile = Static<typeof ProfileSchema>

const profileParser = parser(ProfileSchema)

/** Reads and writes what the Client keeps: `device.key` and `login.json`, for their owner only. */
export type ProfileStore = {
  /** The device key, made at the first call. */
  deviceKey(): Promise<KeyPair>
  read(): Promise<Profile | undefined>
  write(profile: Profile): Promise<void>
  /** Removes login and device key. */
  clear(): Promise<void>
}

/** Profile of the state directory `home`. */
export function profileIn(home: string): ProfileStore {
  const keyPath = join(home, 'device.key')
  const loginPath = join(home, 'login.json')
  return {
    deviceKey: async () => {
      const pem = await readIfThere(keyPath)
      if (pem !== undefined) return keyPairFromPem(pem)
      const keys = generateKeyPair()
      await writeFileAtomic(keyPath, privateKeyToPem(keys.privateKey))
      return keys
    },
    read: async () => {
      const text = await readIfThere(loginPath)
      if (text === undefined) return undefined
      const value = parseJson(text)
      return profileParser.check(value) ? value : undefined
    },
    write: profile => writeFileAtomic(loginPath, `${JSON.stringify(profile, undefined, 2)}\n`),
    clear: async () => {
      await Promise.all([rm(loginPath, { force: true }), rm(keyPath, { force: true })])
    },
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
