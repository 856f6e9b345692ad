import { expect, it } from 'vitest'
import { parser } from '../parse.ts'
import { IdentityProvider, identityProviderProblems } from './identity-provider.ts'

const oidc = (changes: object = {}): IdentityProvider =>
  ({
    name: 'corp',
    type: 'oidc',
    issuer: 'https://id.example.com',
    clientId: 'sallyport',
    emailDomains: ['example.com'],
    ...changes,
  }) as IdentityProvider
const embedded = (changes: object = {}): IdentityProvider =>
  ({
    name: 'tryout',
    type: 'embedded',
    embedded: true,
    accounts: [{ email: 'a@try.example' }],
    ...changes,
  }) as IdentityProvider

it('providers of distinct names and domains are fine', () => {
  const providers = [oidc(), oidc({ name: 'other', emailDomains: ['other.example'] }), embedded()]
  expect(identityProviderProblems(providers)).toEqual([])
  for (const provider of providers) expect(parser(IdentityProvider).problems(provider)).toEqual([])
})

it.each<[string, IdentityProvider[], string, string]>([
  ['an embedded one that is not asked for', [embedded({ embedded: undefined })], '0.embedded', 'must be true'],
  ['an embedded one without accounts', [embedded({ accounts: undefined })], '0.accounts', 'is missing'],
  ['an embedded one with an issuer', [embedded({ issuer: 'https://x.example' })], '0.issuer', 'no meaning'],
  ['one without issuer', [oidc({ issuer: undefined })], '0.issuer', 'is missing'],
  ['one without client', [oidc({ clientId: undefined })], '0.clientId', 'is missing'],
  ['one that names no domains', [oidc({ emailDomains: undefined })], '0.emailDomains', 'is missing'],
  ['one without TLS', [oidc({ issuer: 'http://id.example.com' })], '0.issuer', 'https'],
  ['one with accounts', [oidc({ accounts: [] })], '0.accounts', 'no meaning'],
  ['two of one name', [oidc(), oidc({ emailDomains: [] })], '1.name', 'used twice'],
  ['two for one domain', [oidc(), oidc({ name: 'b', emailDomains: ['EXAMPLE.com'] })], '1.emailDomains', 'corp'],
])('%s is a problem of its field', (_, providers, field, message) => {
  expect(identityProviderProblems(providers)).toContainEqual({ field, message: expect.stringContaining(message) })
})

it('on loopback, for trying out, an issuer may do without TLS', () => {
  expect(identityProviderProblems([oidc({ issuer: 'http://127.0.0.1:9000' })])).toEqual([])
})
