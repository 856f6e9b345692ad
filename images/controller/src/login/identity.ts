import { domainOf, emailDomainsOf, type IdentityProvider, MAX_PROVIDER_GROUPS } from '@sallyport/schema'

/** What a provider says about a person: claims of its ID token and its userinfo, not yet believed. */
export type ProviderClaims = { sub: string; [claim: string]: unknown }

/** Why an e-mail does not count. */
export type EmailProblem = 'no_email' | 'email_not_verified' | 'email_domain_not_allowed'

/** What is believed of a person. `email` is in lower case and absent when it does not count. */
export type Identity = {
  provider: string
  subject: string
  email?: string
  emailProblem?: EmailProblem
  groups: string[]
}

/** Longest subject that is kept (OpenID Connect Core, section 2: at most 255 characters). */
const MAX_SUBJECT = 255
const MAX_GROUP = 256
const EMAIL = /^[^@\s]{1,64}@[^@\s]{1,253}$/

/**
 * Decides what of `claims` is believed: an e-mail counts only if the provider has verified it (or is trusted to) and may speak for
 * its domain. Undefined when there is no usable subject.
 */
export function judgeIdentity(provider: IdentityProvider, claims: ProviderClaims): Identity | undefined {
  if (typeof claims.sub !== 'string' || claims.sub === '' || claims.sub.length > MAX_SUBJECT) return undefined
  const base = {
    provider: provider.name,
    subject: claims.sub,
    groups: groupsOf(claims[provider.groupsClaim ?? 'groups']),
  }
  const { email } = claims
  if (typeof email !== 'string' || !EMAIL.test(email)) return { ...base, emailProblem: 'no_email' }
  if (claims.email_verified !== true && provider.trustEmail !== true) {
    return { ...base, emailProblem: 'email_not_verified' }
  }
  if (!emailDomainsOf(provider).includes(domainOf(email))) return { ...base, emailProblem: 'email_domain_not_allowed' }
  return { ...base, email: email.toLowerCase() }
}

function groupsOf(claim: unknown): string[] {
  const list = typeof claim === 'string' ? [claim] : Array.isArray(claim) ? claim : []
  const names = list.filter(
    (name): name is string => typeof name === 'string' && name !== '' && name.length <= MAX_GROUP,
  )
  return [...new Set(names)].slice(0, MAX_PROVIDER_GROUPS)
}
