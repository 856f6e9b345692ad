import Type, { type Static, type TProperties } from 'typebox'
import { Email, HostPort, oneOf, SourceName, strict, TenantName } from '../common.ts'
import { ProviderGroup } from '../crd/group.ts'
import type { Problem } from '../parse.ts'
import { IdentityProvider, identityProviderProblems } from './identity-provider.ts'

const FilePath = (description: string) => Type.String({ minLength: 1, maxLength: 4096, description })
/** Longest URL of a Controller. */
export const MAX_URL = 2048
const URL_PATTERN = '^https?://[^\\s]+$'
const Url = (description: string) => Type.String({ maxLength: MAX_URL, pattern: URL_PATTERN, description })
const Seconds = (minimum: number, maximum: number, description: string, value: number) =>
  Type.Integer({ minimum, maximum, default: value, description })

/** Where an operator's public keys come from. */
export const OperatorJwks = Type.Union(
  [
    Type.Literal('inCluster', {
      description: "Issuer and keys from the API server's discovery endpoints, read with the Controller's own account.",
    }),
    Type.Object(
      { keys: Type.Array(Type.Record(Type.String(), Type.Unknown()), { minItems: 1, maxItems: 16 }) },
      { ...strict, description: 'The keys themselves (RFC 7517).' },
    ),
    Type.Object(
      {
        url: Url('Where the keys are served.'),
        caFile: Type.Optional(FilePath('PEM file with the CA of that server.')),
      },
      { ...strict, description: 'Fetched, and again every 5 min.' },
    ),
    Type.Object({ file: FilePath('JWKS file.') }, { ...strict, description: 'Read, and again when it changes.' }),
  ],
  { description: 'Public keys of the issuer: inline, by url, from a file, or inCluster.' },
)
export type OperatorJwks = Static<typeof OperatorJwks>

export const OperatorConfig = Type.Object(
  {
    issuer: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2048,
        description: "`iss` of its token; with jwks inCluster the API server's own when absent.",
      }),
    ),
    jwks: OperatorJwks,
    subject: Type.String({ minLength: 1, maxLength: 512, description: '`sub` of its token, exactly.' }),
    audience: Type.Optional(
      Type.String({ minLength: 1, maxLength: 2048, description: '`aud` of its token; `url` when absent.' }),
    ),
    source: { ...SourceName, description: 'Name under which its declarations stand.' },
  },
  { ...strict, description: 'An operator that may declare for the tenant.' },
)
export type OperatorConfig = Static<typeof OperatorConfig>

export const TenantConfig = Type.Object(
  {
    name: TenantName,
    url: Type.Optional(Url("Public URL of the tenant's login; made of the Controller's `url` when absent.")),
    operators: Type.Optional(Type.Array(OperatorConfig, { maxItems: 64, description: 'Who may declare.' })),
    identityProviders: Type.Optional(
      Type.Array(IdentityProvider, { maxItems: 32, description: 'Who authenticates its people.' }),
    ),
    adminGroups: Type.Optional(
      Type.Array(ProviderGroup, { maxItems: 64, description: 'Provider groups whose people are admins.' }),
    ),
    admins: Type.Optional(Type.Array(Email, { maxItems: 1000, description: 'E-mail addresses of admins.' })),
  },
  { ...strict, description: 'A tenant: people, resources and keys of its own.' },
)
export type TenantConfig = Static<typeof TenantConfig>

const Group = <P extends TProperties>(properties: P, description: string) =>
  Type.Object(properties, { ...strict, default: {}, description })

export const ControllerConfigSchema = Type.Object(
  {
    url: Type.Optional(Url('Public URL of the Controller. Either it or urlFile.')),
    urlFile: Type.Optional(
      FilePath(
        'File with the public URL of the Controller, as the operator derives it; waited for at start. When it changes the Controller ends, to be started anew with it.',
      ),
    ),
    listen: { ...HostPort, default: '0.0.0.0:8443', description: 'Where it serves HTTPS.' },
    metricsListen: {
      ...HostPort,
      default: '127.0.0.1:9090',
      description: 'Where it serves /healthz, /readyz and /metrics over HTTP.',
    },
    database: Type.Object(
      { path: FilePath('SQLite file; made when it does not exist.') },
      { ...strict, description: 'Where its state is kept.' },
    ),
    storeKeyFile: FilePath('File with 32 bytes in base64; keys in the database are encrypted with it.'),
    tls: Type.Object(
      {
        certFile: FilePath('PEM file with the certificate and its chain; watched.'),
        keyFile: FilePath('PEM file with the private key; watched.'),
        caFile: Type.Optional(
          FilePath(
            'PEM file with the CA that issued it, sent along for Clients that pin it. `ca.crt` beside certFile, where there is one, when absent.',
          ),
        ),
      },
      { ...strict, description: 'Serving certificate.' },
    ),
    logLevel: oneOf(['debug', 'info', 'warn', 'error'], { default: 'info', description: 'What is logged.' }),
    startupWaitSeconds: Seconds(
      0,
      3600,
      'How long to wait at start for certificate, store key and urlFile to appear, and for a Controller before it to leave the database.',
      120,
    ),
    acl: Group(
      {
        defaultLifetimeSeconds: Seconds(2, 86_400, 'Life of a Client ACL where the network names none.', 1800),
      },
      'Freshness of access.',
    ),
    certificates: Group(
      {
        connectorSeconds: Seconds(2, 31_536_000, "Life of a Connector's certificate.", 86_400),
        deviceSeconds: Seconds(2, 31_536_000, "Life of a device's certificate.", 43_200),
      },
      'Certificates of Connectors and devices, renewed at half of their life; at least twice that of the longest Client ACL.',
    ),
    login: Group(
      {
        maxSessionSeconds: Seconds(2, 31_536_000, 'How long a login lasts.', 604_800),
        accessTokenSeconds: Seconds(2, 3600, 'Life of an access token.', 600),
      },
      "People's logins.",
    ),
    enrolment: Group(
      { tokenSeconds: Seconds(60, 2_592_000, 'Life of an enrolment token.', 604_800) },
      'Enrolment of Connectors.',
    ),
    relayKeys: Group(
      {
        activationSeconds: Seconds(
          0,
          86_400,
          "How long after the operator's acknowledgement a Relay's new key is used; its very first one is used at once.",
          600,
        ),
        rotationSeconds: Seconds(60, 31_536_000, "Age at which a Relay's key is replaced.", 2_592_000),
      },
      "Relays' capability keys.",
    ),
    signingKeys: Group(
      {
        rotationSeconds: Seconds(
          60,
          31_536_000,
          'Age at which a signing key is replaced; later where 16 of its kind are still trusted, each for more than a day.',
          7_776_000,
        ),
        announceSeconds: Seconds(1, 31_536_000, 'How long its successor is known before it signs.', 604_800),
      },
      "The tenants' signing keys.",
    ),
    clockLeewaySeconds: Seconds(0, 600, "Leeway on times in others' tokens.", 30),
    tenants: Type.Array(TenantConfig, { minItems: 1, maxItems: 1000, description: 'The tenants.' }),
  },
  { ...strict, description: 'Configuration of the Controller: a JSON file. What has a default may be left out.' },
)
/** Configuration with its defaults in place. */
export type ControllerConfig = Static<typeof ControllerConfigSchema>

type Needed = 'database' | 'storeKeyFile' | 'tls' | 'tenants'
type Section = 'acl' | 'login' | 'enrolment' | 'relayKeys' | 'signingKeys'
/** Configuration as it may be written: what has a default may be left out. */
export type ControllerConfigInput = Pick<ControllerConfig, Needed> &
  Partial<Omit<ControllerConfig, Needed | Section>> & { [S in Section]?: Partial<ControllerConfig[S]> }

/** The URL that a file holds, without slashes at its end; undefined where it is none. */
export function urlOfFile(text: string): string | undefined {
  const url = text.trim()
  const isUrl = url.length <= MAX_URL && new RegExp(URL_PATTERN).test(url) && URL.canParse(url)
  return isUrl ? url.replace(/\/+$/, '') : undefined
}

/** Problems between the fields of a Controller's configuration that the schema alone cannot see. */
export function controllerConfigProblems(config: ControllerConfig): Problem[] {
  const problems: Problem[] = []
  const names = new Set<string>()
  const operators = new Set<string>()
  if (config.url === undefined && config.urlFile === undefined)
    problems.push({
      field: 'url',
      message: 'is missing, and so is urlFile; one of the two says where the Controller is',
    })
  if (config.url !== undefined && config.urlFile !== undefined)
    problems.push({ field: 'urlFile', message: 'has no meaning beside url; give one of the two' })
  config.tenants.forEach((tenant, index) => {
    const at = (field: string, message: string) => problems.push({ field: `tenants.${index}.${field}`, message })
    if (names.has(tenant.name)) at('name', `is used twice: "${tenant.name}"`)
    names.add(tenant.name)
    const sources = new Set<string>()
    tenant.operators?.forEach((operator, number) => {
      if (sources.has(operator.source)) at(`operators.${number}.source`, `is used twice: "${operator.source}"`)
      sources.add(operator.source)
      const account = [operator.issuer ?? operator.jwks, operator.subject, operator.audience ?? config.url ?? ''].join(
        '\n',
      )
      if (operators.has(account)) at(`operators.${number}.subject`, 'names an account that is an operator already')
      operators.add(account)
      if (operator.issuer === undefined && operator.jwks !== 'inCluster')
        at(`operators.${number}.issuer`, 'is missing; only jwks inCluster knows its own')
    })
    for (const { field, message } of identityProviderProblems(tenant.identityProviders ?? []))
      at(`identityProviders.${field}`, message)
    const providers = new Set(tenant.identityProviders?.map(({ name }) => name))
    tenant.adminGroups?.forEach(({ provider }, number) => {
      if (!providers.has(provider)) at(`adminGroups.${number}.provider`, `names no identity provider: "${provider}"`)
    })
  })
  return problems
}
