/** Values that make no sense are refused before anything is installed, in a sentence that names the value. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { CHART, describeChart, helm, type Values } from './helm.ts'
import { MATRIX, OIDC } from './matrix.ts'

const relay = (changes: object) => ({ relays: [{ name: 'edge', address: { fromService: true }, ...changes }] })
const LOAD_BALANCER = { service: { type: 'LoadBalancer' } }
const tryout = { name: 'tryout', type: 'embedded', embedded: true, accounts: [{ email: 'a@b.example' }] }
const embedded = (changes: object) => ({
  identityProviders: [{ name: 'tryout', type: 'embedded', accounts: [{ email: 'a@b.example' }], ...changes }],
})

/** What is refused, beside what is accepted; the message. */
const CASES: [name: string, refused: Values, message: string, accepted: Values][] = [
  ['a value that there is not', { replicas: 2 }, "additional properties 'replicas' not allowed", {}],
  [
    'a nested one',
    { operator: { replica: 2 } },
    "additional properties 'replica' not allowed",
    { operator: { replicas: 3 } },
  ],
  ['a tag where a digest belongs', { images: { relay: { digest: '1.2' } } }, '/images/relay/digest', {}],
  ['no operator at all', { operator: { replicas: 0 } }, '/operator/replicas', { operator: { replicas: 1 } }],
  [
    'an ACL that lives too long',
    { controller: { acl: { defaultLifetimeSeconds: 86_401 } } },
    '/controller/acl/defaultLifetimeSeconds',
    { controller: { acl: { defaultLifetimeSeconds: 86_400 } } },
  ],
  [
    'a Controller over http',
    { controller: { url: 'http://access.example.com' } },
    'controller.url: must be an https URL, is "http://access.example.com"',
    { controller: { url: 'https://access.example.com' } },
  ],
  [
    'a ClusterIP and no URL',
    { controller: { service: { type: 'ClusterIP' } } },
    'controller.url: is missing',
    { controller: { service: { type: 'ClusterIP' }, url: 'https://access.example.com' } },
  ],
  [
    'a URL that is none',
    { controller: { url: 'https://access example' } },
    'controller.url: must be an https URL, is "https://access example"',
    { controller: { url: 'https://access.example.com:8443' } },
  ],
  [
    "a Controller at a Node's address that no Role lets it read",
    { controller: { service: { type: 'NodePort' } }, operator: { watchNamespaces: ['apps'] } },
    "controller.url: is missing; a Node's address cannot be read",
    {
      controller: { service: { type: 'NodePort' }, url: 'https://access.example.com' },
      operator: { watchNamespaces: ['apps'] },
    },
  ],
  [
    'no Controller anywhere',
    { controller: { enabled: false } },
    'controller.external.url: is missing',
    { controller: { enabled: false, external: { url: 'https://access.example.com' } } },
  ],
  [
    'two Controllers',
    { controller: { external: { url: 'https://access.example.com' } } },
    'controller.external.url: has no meaning',
    {},
  ],
  [
    'an Ingress without host',
    { controller: { ingress: { enabled: true } } },
    'controller.ingress.host: is missing',
    MATRIX['behind an Ingress']!,
  ],
  [
    'an Ingress with a URL for its host',
    { controller: { ingress: { enabled: true, host: 'https://access.example.com' } } },
    '/controller/ingress/host',
    MATRIX['behind an Ingress']!,
  ],
  [
    'a route with a pattern for its host',
    { controller: { gateway: { enabled: true, parentRefs: [{ name: 'public' }], hostnames: ['*.example.com'] } } },
    '/controller/gateway/hostnames/0',
    MATRIX['behind a Gateway that ends TLS']!,
  ],
  [
    'a route without Gateway',
    { controller: { gateway: { enabled: true, hostnames: ['a.example'] } } },
    'controller.gateway.parentRefs: name at least one Gateway',
    MATRIX['behind a Gateway that ends TLS']!,
  ],
  [
    'a route without host',
    { controller: { gateway: { enabled: true, parentRefs: [{ name: 'public' }] } } },
    'controller.gateway.hostnames: name at least one host',
    MATRIX['behind a Gateway that ends TLS']!,
  ],
  [
    'an embedded provider that nobody asked for',
    embedded({}),
    'identityProviders[0].embedded: must be true: the embedded provider asks for no password',
    embedded({ embedded: true }),
  ],
  [
    'an embedded provider with an issuer',
    embedded({ embedded: true, issuer: 'https://x.example' }),
    'identityProviders[0].issuer: has no meaning for type embedded',
    embedded({ embedded: true }),
  ],
  [
    'a provider without issuer',
    { identityProviders: [{ ...OIDC, issuer: undefined }] },
    'identityProviders[0].issuer: is missing; type oidc needs it',
    { identityProviders: [OIDC] },
  ],
  [
    'a provider that speaks for everyone',
    { identityProviders: [{ ...OIDC, emailDomains: undefined }] },
    'identityProviders[0].emailDomains: is missing',
    { identityProviders: [OIDC] },
  ],
  [
    'a client secret in plain text',
    { identityProviders: [{ ...OIDC, clientSecret: 'hush' }] },
    '/identityProviders/0/clientSecret',
    { identityProviders: [OIDC] },
  ],
  [
    'two providers of one name',
    { identityProviders: [OIDC, OIDC] },
    'identityProviders[1].name: is used twice: "corp"',
    { identityProviders: [OIDC] },
  ],
  [
    'two providers that speak for one domain',
    { identityProviders: [OIDC, { ...OIDC, name: 'other', emailDomains: ['Example.com'] }] },
    'identityProviders[1].emailDomains: "example.com" is spoken for by provider "corp" already',
    { identityProviders: [OIDC, { ...OIDC, name: 'other', emailDomains: ['other.example'] }] },
  ],
  [
    'a domain that an embedded provider has an account of',
    { identityProviders: [OIDC, { ...tryout, accounts: [{ email: 'eve@example.com' }] }] },
    'identityProviders[1].emailDomains: "example.com" is spoken for by provider "corp" already',
    { identityProviders: [OIDC, tryout] },
  ],
  [
    'an issuer over http',
    { identityProviders: [{ ...OIDC, issuer: 'http://id.example.com' }] },
    'identityProviders[0].issuer: must be an https URL, is "http://id.example.com"',
    { identityProviders: [{ ...OIDC, issuer: 'http://localhost:5556/dex' }] },
  ],
  [
    'admins of a provider that there is not',
    { adminGroups: [{ provider: 'corp', name: 'admins' }] },
    'adminGroups[0].provider: names no identity provider: "corp"',
    { identityProviders: [OIDC], adminGroups: [{ provider: 'corp', name: 'admins' }] },
  ],
  [
    'a tenant called as the first is',
    { tenants: [{ name: 'default' }] },
    'tenants[0].name: is used twice: "default"',
    { tenants: [{ name: 'lab' }] },
  ],
  [
    'a Relay without a way to it',
    relay({ address: {} }),
    'relays[0].address: exactly one of template, list and fromService',
    relay(LOAD_BALANCER),
  ],
  [
    'a Relay behind a ClusterIP',
    relay({}),
    'relays[0].service.type: must be LoadBalancer or NodePort',
    relay(LOAD_BALANCER),
  ],
  [
    'two Relays at one address',
    relay({ address: { template: 'relay.example.com:443' } }),
    'relays[0].address.template: must contain {index} for more than one replica',
    relay({ address: { template: 'relay.example.com:443' }, replicas: 1 }),
  ],
  [
    'an address too few',
    relay({ address: { list: ['relay-0.example.com:443'] } }),
    'relays[0].address.list: must have one address per replica: 2, not 1',
    relay({ address: { list: ['relay-0.example.com:443', 'relay-1.example.com:443'] } }),
  ],
  [
    'a way that is and is not',
    relay({ address: { fromService: false } }),
    'relays[0].address.fromService: must be true',
    relay(LOAD_BALANCER),
  ],
  [
    'a TLSRoute without hosts',
    relay({ ...LOAD_BALANCER, tlsRoute: { parentRefs: [{ name: 'public' }] } }),
    'relays[0].address.template: is missing',
    MATRIX['behind a Gateway that passes TLS through']!,
  ],
  [
    'two Relays of one name',
    { relays: [...relay(LOAD_BALANCER).relays, ...relay(LOAD_BALANCER).relays] },
    'relays[1].name: is used twice: "edge"',
    relay(LOAD_BALANCER),
  ],
  [
    "a Node's address that no Role lets it read",
    { ...relay({ service: { type: 'NodePort' } }), operator: { watchNamespaces: ['apps'] } },
    "relays[0].address: a Node's address cannot be read",
    relay({ service: { type: 'NodePort' } }),
  ],
  [
    'cert-manager without an issuer',
    { certManager: { enabled: true } },
    'certManager.issuerRef.name: is missing',
    MATRIX['cert-manager']!,
  ],
  [
    'two CAs',
    { certManager: { enabled: true, issuerRef: { name: 'corp' } }, authority: { provided: true } },
    'authority.provided: has no meaning with certManager.enabled',
    MATRIX['cert-manager']!,
  ],
  [
    'a CA of two makers',
    { authority: { provided: true }, operator: { env: [{ name: 'SALLYPORT_CERTIFICATES', value: 'external' }] } },
    'operator.env: SALLYPORT_CERTIFICATES has no meaning with authority.provided or certManager.enabled',
    { operator: { env: [{ name: 'SALLYPORT_CERTIFICATES', value: 'external' }] } },
  ],
  [
    'a database that the chart does not have',
    { controller: { database: { url: 'postgres://db' } } },
    "additional properties 'database' not allowed",
    {},
  ],
]

describeChart('the chart refuses', () => {
  it.each(CASES)('%s', async (_, refused, message, accepted) => {
    const install = (values: Values) => helm(['template', 'sallyport', CHART, '--namespace', 'sallyport'], values)
    const { code, stderr } = await install(refused)
    expect(stderr).toContain(message)
    expect(code).not.toBe(0)
    expect((await install(accepted)).stderr).toBe('')
  })
})

describeChart('the notes', () => {
  const notes = async (values: Values) =>
    (await helm(['install', 'sallyport', CHART, '--namespace', 'sallyport', '--dry-run=client'], values)).stdout
      .split('\nNOTES:\n')
      .at(-1)!

  it('say the three next commands, the login with the pin among them', async () => {
    const text = await notes(MATRIX['the try-out']!)
    expect(text).toContain('kubectl -n sallyport rollout status deployment/sallyport-controller')
    expect(text).toContain('kubectl apply -k examples/quickstart/overlays/node')
    expect(text).toContain(
      `sallyport login "$(kubectl -n sallyport get configmap sallyport-login -o jsonpath='{.data.login}')"`,
    )
  })

  it('name the quickstart only where it fits: its people and its namespace are the ones of the try-out', async () => {
    expect(await notes({ identityProviders: [OIDC] })).not.toContain('examples/quickstart/overlays')
    expect(await notes({ identityProviders: [OIDC] })).toContain('docs/operations/install.md')
  })

  it('warn aloud of an embedded identity provider, and of nothing else', async () => {
    expect(await notes(MATRIX['the try-out']!)).toContain(
      'The embedded identity provider is on (tryout): it asks for NO PASSWORD',
    )
    expect(await notes({ tenants: [{ name: 'lab', ...embedded({ embedded: true }) }] })).toContain('NO PASSWORD')
    expect(await notes({ identityProviders: [OIDC] })).not.toContain('WARNING')
  })

  it('say that nobody can log in while there is no provider', async () => {
    expect(await notes({})).toContain('Nobody can log in yet')
    expect(await notes({ identityProviders: [OIDC] })).not.toContain('Nobody can log in yet')
  })
})

describeChart('every value', () => {
  it('is described, and takes nothing that it does not name', () => {
    const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'))
    const undescribed: string[] = []
    const open: string[] = []
    const walk = (node: Record<string, unknown>, path: string) => {
      const properties = node.properties as Record<string, Record<string, unknown>> | undefined
      if (properties !== undefined && node.additionalProperties !== false) open.push(path)
      for (const [name, member] of Object.entries(properties ?? {})) {
        if (typeof member.description !== 'string' || member.description === '') undescribed.push(`${path}.${name}`)
        walk(member, `${path}.${name}`)
      }
      if (node.items !== undefined) walk(node.items as Record<string, unknown>, `${path}[]`)
    }
    walk(schema, '')
    expect({ undescribed, open }).toEqual({ undescribed: [], open: [] })
  })
})
