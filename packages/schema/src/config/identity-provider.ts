import Type, { type Static } from 'typebox'
import { Email, Name, oneOf, strict } from '../common.ts'
import { MAX_HOST, MAX_TEXT } from '../limit.ts'
import type { Problem } from '../parse.ts'

/** Most accounts of an embedded provider. */
export const MAX_ACCOUNTS = 1000
/** Most groups of one person. */
export const MAX_PROVIDER_GROUPS = 1000

export const EmbeddedAccount = Type.Object(
  {
    email: Email,
    groups: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: MAX_TEXT }), {
        maxItems: MAX_PROVIDER_GROUPS,
        description: 'Groups that the provider names for this account.',
      }),
    ),
    name: Type.Optional(Type.String({ maxLength: MAX_TEXT, description: 'Name shown on the page.' })),
  },
  { ...strict, description: 'Account that anyone may choose, without a password.' },
)
export type EmbeddedAccount = Static<typeof EmbeddedAccount>

export const IdentityProvider = Type.Object(
  {
    name: { ...Name, description: 'Name of the provider, as Groups call it.' },
    type: oneOf(['oidc', 'embedded'], {
      description: 'oidc: an OpenID Connect provider. embedded: accounts without passwords, for trying out only.',
    }),
    displayName: Type.Optional(Type.String({ maxLength: MAX_TEXT, description: 'Name on the login page.' })),
    issuer: Type.Optional(
      Type.String({
        maxLength: 2048,
        pattern: '^https?://',
        description: 'Issuer URL (type oidc). Must be https unless on loopback.',
      }),
    ),
    clientId: Type.Optional(
      Type.String({ minLength: 1, maxLength: MAX_TEXT, description: 'Client ID at the provider (type oidc).' }),
    ),
    clientSecretFile: Type.Optional(
      Type.String({ minLength: 1, maxLength: 4096, description: 'File with the client secret (type oidc).' }),
    ),
    emailDomains: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: MAX_HOST }), {
        maxItems: 256,
        description:
          'Domains that the provider may speak for; an e-mail of another domain does not count. Of an embedded provider: those of its accounts when absent.',
      }),
    ),
    trustEmail: Type.Optional(
      Type.Boolean({ description: 'E-mails count without `email_verified`; for providers that never send it.' }),
    ),
    scopes: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: MAX_TEXT }), {
        maxItems: 32,
        description: 'Scopes to ask for besides `openid`; `email profile` when absent.',
      }),
    ),
    groupsClaim: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: MAX_TEXT,
        description: 'Claim that lists the groups; `groups` when absent.',
      }),
    ),
    accounts: Type.Optional(
      Type.Array(EmbeddedAccount, { minItems: 1, maxItems: MAX_ACCOUNTS, description: 'Accounts (type embedded).' }),
    ),
    embedded: Type.Optional(
      Type.Boolean({ description: 'Must be true for type embedded: whoever reaches the page may be anyone it lists.' }),
    ),
  },
  { ...strict, description: 'Who authenticates people.' },
)
export type IdentityProvider = Static<typeof IdentityProvider>

const NEEDED = { oidc: ['issuer', 'clientId'], embedded: ['accounts'] } as const
const FOREIGN = {
  oidc: ['accounts', 'embedded'],
  embedded: ['issuer', 'clientId', 'clientSecretFile', 'scopes', 'groupsClaim', 'trustEmail'],
} as const

/** Problems between the fields of a tenant's providers; each field's own shape is the schema's. `field` begins with the index. */
export function identityProviderProblems(providers: IdentityProvider[]): Problem[] {
  const problems: Problem[] = []
  const owners = new Map<string, string>()
  const names = new Set<string>()
  providers.forEach((provider, index) => {
    const at = (field: string, message: string) => problems.push({ field: `${index}.${field}`, message })
    if (names.has(provider.name)) at('name', `is used twice: "${provider.name}"`)
    names.add(provider.name)
    for (const field of NEEDED[provider.type]) {
      if (provider[field] === undefined) at(field, `is missing; type ${provider.type} needs it`)
    }
    for (const field of FOREIGN[provider.type]) {
      if (provider[field] !== undefined) at(field, `has no meaning for type ${provider.type}`)
    }
    if (provider.type === 'embedded' && provider.embedded !== true) {
      at('embedded', 'must be true: the embedded provider asks for no password and is for trying out only')
    }
    if (provider.type === 'oidc') {
      if (provider.emailDomains === undefined) at('emailDomains', 'is missing; name the domains it may speak for')
      if (provider.issuer !== undefined && !isSafeIssuer(provider.issuer)) at('issuer', 'must be an https URL')
    }
    for (const domain of emailDomainsOf(provider)) {
      const owner = owners.get(domain)
      if (owner !== undefined && owner !== provider.name) {
        at('emailDomains', `"${domain}" is spoken for by provider "${owner}" already`)
      }
      owners.set(domain, provider.name)
    }
  })
  return problems
}

/** Domains, in lower case, whose e-mails count when `provider` asserts them. */
export function emailDomainsOf(provider: IdentityProvider): string[] {
  const domains =
    provider.emailDomains ??
    (provider.type === 'embedded' ? (provider.accounts ?? []).map(({ email }) => domainOf(email)) : [])
  return [...new Set(domains.map(domain => domain.toLowerCase()))]
}

/** The part of an e-mail address behind its last `@`, in lower case. */
export const domainOf = (email: string): string => email.slice(email.lastIndexOf('@') + 1).toLowerCase()

function isSafeIssuer(issuer: string): boolean {
  try {
    const { protocol, hostname } = new URL(issuer)
    return protocol === 'https:' || ['localhost', '127.0.0.1', '[::1]'].includes(hostname)
  } catch {
    return false
  }
}
