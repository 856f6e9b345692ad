import { readFile } from 'node:fs/promises'
import { get as getPlain } from 'node:http'
import { Agent, get } from 'node:https'
import type { Clock, Log } from '@sallyport/runtime'
import { type ControllerConfig, type OperatorConfig, parser, Type } from '@sallyport/schema'
import { TrustError, unverifiedIssuer, verifyServiceAccountToken } from '@sallyport/trust'
import { ApiError } from './error.ts'

/** How long fetched keys are used before they are fetched again, and how soon at the earliest where a token fits none of them. */
const FETCHED_MS = 300_000
const REFETCH_MS = 5_000
const FETCH_TIMEOUT_MS = 5_000
const MAX_DOCUMENT_BYTES = 256 * 1024

/** The Controller's own ServiceAccount, with which it reads the API server's discovery documents. */
const IN_CLUSTER = {
  accountDir: '/var/run/secrets/kubernetes.io/serviceaccount',
  apiServer: 'https://kubernetes.default.svc',
}
/** Unlike the global one it goes by no proxy of the environment: to none is the API server's own name known, nor shall it see the token. */
const DIRECT = new Agent()

/** Whom an operator's token speaks for. */
export type Operator = { tenant: string; source: string }

const jwksParser = parser(Type.Object({ keys: Type.Array(Type.Object({}), { maxItems: 64 }) }))
const discoveryParser = parser(
  Type.Object({ issuer: Type.String({ maxLength: 2048 }), jwks_uri: Type.String({ maxLength: 2048 }) }),
)

type KeySet = { issuer: string | undefined; jwks: unknown }
type Candidate = { operator: Operator; config: OperatorConfig; audience: string; keys: KeySource }

/** Verifies operators' ServiceAccount tokens: `iss`, `sub` and `aud` must be those of one configured operator, exactly. */
export function createOperatorAuth(
  { tenants, url, clockLeewaySeconds }: Pick<ControllerConfig, 'tenants' | 'clockLeewaySeconds'> & { url: string },
  { clock, log }: { clock: Clock; log: Log },
): (authorization: string | undefined) => Promise<Operator> {
  const candidates: Candidate[] = tenants.flatMap(tenant =>
    (tenant.operators ?? []).map(config => ({
      operator: { tenant: tenant.name, source: config.source },
      config,
      audience: config.audience ?? url,
      keys: new KeySource(config, clock),
    })),
  )
  return async authorization => {
    const token = bearerToken(authorization)
    const issuer = unverifiedIssuer(token)
    let refusal: unknown
    let unreadable: unknown
    for (const candidate of candidates) {
      // A known issuer that differs needs no keys; `inCluster` learns its own from the API server.
      if (candidate.config.issuer !== undefined && candidate.config.issuer !== issuer) continue
      try {
        await verifyFor(candidate, token, clock.now(), clockLeewaySeconds)
        return candidate.operator
      } catch (error) {
        if (!(error instanceof TrustError)) {
          log.warn({ err: error, tenant: candidate.operator.tenant }, "an operator's keys cannot be read")
          unreadable = error
          continue
        }
        refusal = worse(refusal, error)
      }
    }
    if (unreadable === undefined) throw refused(refusal)
    throw new ApiError('unavailable', "the keys of the token's issuer cannot be read", { cause: unreadable })
  }
}

/** The token of `Authorization: Bearer …`. Throws ApiError. */
export function bearerToken(authorization: string | undefined): string {
  const [, token] = /^Bearer ([A-Za-z0-9._~+/=-]{1,16384})$/i.exec(authorization ?? '') ?? []
  if (token === undefined) throw new ApiError('unauthenticated')
  return token
}

async function verifyFor(candidate: Candidate, token: string, nowMs: number, leewaySeconds: number): Promise<void> {
  const { config, audience, keys } = candidate
  const check = async (fresh: boolean) => {
    const { issuer, jwks } = await keys.read(fresh)
    if (issuer === undefined) throw new TypeError('the configuration requires an issuer')
    await verifyServiceAccountToken(token, { jwks, issuer, subject: config.subject, audience, nowMs, leewaySeconds })
  }
  try {
    await check(false)
  } catch (error) {
    if (!(error instanceof TrustError) || (error.code !== 'unknown_key' && error.code !== 'bad_signature')) throw error
    await check(true)
  }
}

/** Of two refusals the one that tells more: an expired token of the right account rather than one of another. */
function worse(known: unknown, next: TrustError): unknown {
  return known instanceof TrustError && known.code === 'expired' ? known : next
}

function refused(cause: unknown): ApiError {
  if (cause instanceof TrustError && cause.code === 'expired')
    return new ApiError('token_expired', undefined, { cause })
  if (cause instanceof TrustError && cause.code === 'clock_skew')
    return new ApiError('clock_skew', undefined, { cause })
  return new ApiError('unauthenticated', undefined, { cause })
}

/** Keys of one operator's issuer. */
class KeySource {
  readonly #config: OperatorConfig
  readonly #clock: Clock
  #held: (KeySet & { atMs: number }) | undefined
  #fetching: Promise<KeySet> | undefined
  #text: string | undefined

  constructor(config: OperatorConfig, clock: Clock) {
    this.#config = config
    this.#clock = clock
  }

  /** The keys; with `fresh` read again, unless that was done just now. */
  async read(fresh: boolean): Promise<KeySet> {
    const { jwks, issuer } = this.#config
    if (typeof jwks === 'object' && 'keys' in jwks) return { issuer, jwks }
    if (typeof jwks === 'object' && 'file' in jwks) return this.#readFile(jwks.file, issuer)
    const nowMs = this.#clock.monotonic()
    const age = this.#held === undefined ? Number.POSITIVE_INFINITY : nowMs - this.#held.atMs
    if (this.#held !== undefined && age < (fresh ? REFETCH_MS : FETCHED_MS)) return this.#held
    // However many ask at once, strangers among them, the issuer is asked once.
    this.#fetching ??= this.#fetch(() => (jwks === 'inCluster' ? discover(issuer) : fetchKeys(jwks, issuer))).finally(
      () => {
        this.#fetching = undefined
      },
    )
    return this.#fetching
  }

  async #fetch(from: () => Promise<KeySet>): Promise<KeySet> {
    const atMs = this.#clock.monotonic()
    this.#held = { ...(await from()), atMs }
    return this.#held
  }

  async #readFile(path: string, issuer: string | undefined): Promise<KeySet> {
    const text = await readFile(path, 'utf8')
    if (text !== this.#text || this.#held === undefined) {
      this.#held = { issuer, jwks: parsed(text, jwksParser, path), atMs: 0 }
      this.#text = text
    }
    return this.#held
  }
}

async function fetchKeys({ url, caFile }: { url: string; caFile?: string }, issuer: string | undefined) {
  const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8')
  return { issuer, jwks: parsed(await fetchText(url, { ca }), jwksParser, url) }
}

/** Reads issuer and keys from the API server of the cluster, straight; a `configured` issuer stands. Throws Error. */
export async function discover(
  configured: string | undefined,
  { accountDir, apiServer } = IN_CLUSTER,
): Promise<KeySet> {
  const [ca, token] = await Promise.all([
    readFile(`${accountDir}/ca.crt`, 'utf8'),
    readFile(`${accountDir}/token`, 'utf8'),
  ])
  const access = { ca, token: token.trim(), agent: DIRECT }
  const document = `${apiServer}/.well-known/openid-configuration`
  const { issuer } = parsed(await fetchText(document, access), discoveryParser, document)
  const jwks = parsed(await fetchText(`${apiServer}/openid/v1/jwks`, access), jwksParser, 'the JWKS of the API server')
  return { issuer: configured ?? issuer, jwks }
}

function parsed<T>(text: string, { check }: { check(value: unknown): value is T }, what: string): T {
  const value: unknown = JSON.parse(text)
  if (!check(value)) throw new Error(`${what} is not what it must be`)
  return value
}

function fetchText(
  url: string,
  { ca, token, agent }: { ca: string | undefined; token?: string; agent?: Agent },
): Promise<string> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const secure = url.startsWith('https:')
  return new Promise((resolve, reject) => {
    const options = {
      headers,
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
      ...(secure && ca !== undefined && { ca }),
      ...(agent !== undefined && { agent }),
    }
    const request = (secure ? get : getPlain)(url, options, response => {
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > MAX_DOCUMENT_BYTES)
          request.destroy(new Error(`${url} answers more than ${MAX_DOCUMENT_BYTES} bytes`))
        chunks.push(chunk)
      })
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString())
        else reject(new Error(`${url} answers ${response.statusCode}`))
      })
      response.on('error', reject)
    })
    request.on('error', reject)
  })
}
