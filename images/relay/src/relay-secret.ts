import { createPrivateKey } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { type Problem, parser, RelaySecret } from '@sallyport/schema'
import {
  parseCertificate,
  type RelayKey,
  relayKeyFromText,
  TrustError,
  type VerifyKeys,
  verifyKeys,
} from '@sallyport/trust'

/** What a Relay is and knows: all of it comes from its Secret. */
export type RelayIdentity = {
  name: string
  /** Open capabilities. */
  keys: readonly RelayKey[]
  /** Verify the passes of Connectors. */
  passKeys: VerifyKeys
  certificatePem: string
  privateKeyPem: string
}

/** The files of a Relay's Secret, undefined where one is missing. */
export type SecretFiles = Readonly<Record<'relay.json' | 'tls.crt' | 'tls.key', string | undefined>>

export type ReadSecret = { ok: true; identity: RelayIdentity } | { ok: false; problems: Problem[] }

const secretParser = parser(RelaySecret)

/** Reads the files of a Relay's Secret; tells all problems at once, and none of the content. */
export function readRelaySecret(files: SecretFiles): ReadSecret {
  const problems: Problem[] = []
  const report = (field: string, message: string) => void problems.push({ field, message })
  for (const [field, content] of Object.entries(files)) if (content === undefined) report(field, 'is missing')
  const { 'relay.json': text, 'tls.crt': certificatePem, 'tls.key': privateKeyPem } = files
  const secret = text === undefined ? undefined : parseSecret(text, report)
  if (certificatePem !== undefined && privateKeyPem !== undefined) checkPair(certificatePem, privateKeyPem, report)
  if (secret === undefined || certificatePem === undefined || privateKeyPem === undefined || problems.length > 0) {
    return { ok: false, problems }
  }
  return { ok: true, identity: { ...secret, certificatePem, privateKeyPem } }
}

type Report = (field: string, message: string) => void

function parseSecret(text: string, report: Report): Pick<RelayIdentity, 'name' | 'keys' | 'passKeys'> | undefined {
  const value = parseJson(text)
  if (!secretParser.check(value)) {
    for (const { field, message } of secretParser.problems(value)) report(`relay.json ${field}`.trim(), message)
    return undefined
  }
  try {
    return { name: value.name, keys: value.keys.map(relayKeyFromText), passKeys: verifyKeys(value.passJwks) }
  } catch (error) {
    if (!(error instanceof TrustError)) throw error
    report('relay.json', error.message)
    return undefined
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // No object: the schema says what is wanted.
  }
}

function checkPair(certificatePem: string, privateKeyPem: string, report: Report): void {
  try {
    const certificate = parseCertificate(certificatePem)
    if (!certificate.checkPrivateKey(createPrivateKey(privateKeyPem))) report('tls.key', 'does not fit tls.crt')
    else createSecureContext({ cert: certificatePem, key: privateKeyPem })
  } catch (error) {
    if (error instanceof TrustError) report('tls.crt', error.message)
    else report('tls.key', 'is no private key that TLS takes')
  }
}
