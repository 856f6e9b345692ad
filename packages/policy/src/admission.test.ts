import type { AllowedNamespaces } from '@sallyport/schema'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchesPattern } from './address.ts'
import { admitRule, type ServiceTarget } from './admission.ts'
import { type Declared, patternsMeet, takenNames, tiesOf } from './overlap.ts'
import { normaliseRule } from './rule.ts'

const all = (rest: Partial<AllowedNamespaces> = {}): AllowedNamespaces => ({ from: 'All', ...rest })
const SERVICES: Record<string, ServiceTarget> = { db: 'pods', proxy: 'externalName', manual: 'noSelector' }
type Declaring = {
  address?: string
  aliases?: string[]
  namespace?: string
  labels?: Record<string, string>
  knowsLabels?: boolean
}
const admission = (
  { address = 'db.team.internal', aliases = [], namespace = 'team', labels = {}, knowsLabels = true }: Declaring,
  allowedNamespaces: AllowedNamespaces[],
) =>
  admitRule(normaliseRule({ address, aliases }), {
    namespace,
    namespaceLabels: { 'kubernetes.io/metadata.name': namespace, ...labels },
    knowsLabels,
    network: { namespace: 'platform', allowedNamespaces },
    clusterDomain: 'cluster.local',
    serviceTarget: service => SERVICES[service] ?? 'none',
  })
function admit(declaring: Declaring, allowedNamespaces: AllowedNamespaces[]): string {
  const said = admission(declaring, allowedNamespaces)
  return said.allow ? 'allowed' : `${said.reason}${said.subject === undefined ? '' : ` ${said.subject}`}`
}

describe('declaring a Resource in a network', () => {
  const labelled: AllowedNamespaces = { from: 'Selector', selector: { matchLabels: { env: 'dev' } }, addresses: ['*'] }
  const named: AllowedNamespaces = {
    from: 'Selector',
    selector: { matchLabels: { 'kubernetes.io/metadata.name': 'team' } },
    addresses: ['*'],
  }
  it.each<[string, Declaring, AllowedNamespaces[], string]>([
    ["the network's own namespace names anything", { namespace: 'platform', address: '10.0.0.0/8' }, [], 'allowed'],
    ['others nothing without an entry', {}, [], 'NamespaceNotAllowed'],
    ['not even their own Services', { address: 'db.team.svc' }, [], 'NamespaceNotAllowed'],
    ['From Same admits no other', {}, [{ from: 'Same', addresses: ['*'] }], 'NamespaceNotAllowed'],
    ['a selector admits by label', { labels: { env: 'dev', x: 'y' } }, [labelled], 'allowed'],
    ['and not by another value', { labels: { env: 'prod' } }, [labelled], 'NamespaceNotAllowed'],
    ['labels that cannot be read admit nobody', { knowsLabels: false }, [labelled], 'NamespaceLabelsUnreadable'],
    ['and hold up nobody whom another entry admits', { knowsLabels: false }, [labelled, named], 'allowed'],
    [
      'the name of a namespace needs no reading',
      { knowsLabels: false, namespace: 'stranger' },
      [named],
      'NamespaceNotAllowed',
    ],
    ['a selector of nothing admits nobody', {}, [{ from: 'Selector', addresses: ['*'] }], 'NamespaceNotAllowed'],
    ['a name within a pattern', {}, [all({ addresses: ['*.team.internal'] })], 'allowed'],
    ['a name that is listed', {}, [all({ addresses: ['DB.team.internal'] })], 'allowed'],
    [
      'not the apex of a pattern',
      { address: 'team.internal' },
      [all({ addresses: ['*.team.internal'] })],
      'AddressNotAllowed team.internal',
    ],
    [
      'not a name inside the literal part',
      { address: 'evilteam.internal' },
      [all({ addresses: ['*.team.internal'] })],
      'AddressNotAllowed evilteam.internal',
    ],
    ['a narrower pattern', { address: '*.db.team.internal' }, [all({ addresses: ['*.team.internal'] })], 'allowed'],
    [
      'not a wider pattern',
      { address: '*.internal' },
      [all({ addresses: ['*.team.internal'] })],
      'AddressNotAllowed *.internal',
    ],
    [
      'not a pattern by a name',
      { address: '*.internal' },
      [all({ addresses: ['db.internal'] })],
      'AddressNotAllowed *.internal',
    ],
    ['an address within a CIDR', { address: '10.1.2.3' }, [all({ addresses: ['10.1.0.0/16'] })], 'allowed'],
    ['not one past it', { address: '10.2.0.0' }, [all({ addresses: ['10.1.0.0/16'] })], 'AddressNotAllowed 10.2.0.0'],
    ['a CIDR within a CIDR', { address: '10.1.2.0/24' }, [all({ addresses: ['10.1.0.0/16'] })], 'allowed'],
    [
      'not a wider CIDR',
      { address: '10.0.0.0/8' },
      [all({ addresses: ['10.1.0.0/16'] })],
      'AddressNotAllowed 10.0.0.0/8',
    ],
    ['not an address by a pattern', { address: '10.1.2.3' }, [all({ addresses: ['*'] })], 'AddressNotAllowed 10.1.2.3'],
    ['not a name by a CIDR', {}, [all({ addresses: ['0.0.0.0/0'] })], 'AddressNotAllowed db.team.internal'],
    [
      'an entry that cannot be read admits nothing',
      { address: '10.0.0.1' },
      [all({ addresses: ['10.0.0.1/8'] })],
      'AddressNotAllowed 10.0.0.1',
    ],
    ['entries add up', { address: '10.0.0.1' }, [all(), all({ addresses: ['10.0.0.1'] })], 'allowed'],
    ['an entry for others does not', {}, [all(), labelled], 'AddressNotAllowed db.team.internal'],
    ['a Service of their own', { address: 'db.team.svc' }, [all()], 'allowed'],
    ['with the domain of the cluster', { address: 'db.team.svc.cluster.local' }, [all()], 'allowed'],
    [
      'not of another domain',
      { address: 'db.team.svc.evil.example' },
      [all()],
      'AddressNotAllowed db.team.svc.evil.example',
    ],
    ['not one that is an ExternalName', { address: 'proxy.team.svc' }, [all()], 'AddressNotAllowed proxy.team.svc'],
    ['not one without a selector', { address: 'manual.team.svc' }, [all()], 'AddressNotAllowed manual.team.svc'],
    ['not one that is not there', { address: 'web.team.svc' }, [all()], 'AddressNotAllowed web.team.svc'],
    ['unless an entry lists it', { address: 'proxy.team.svc' }, [all({ addresses: ['*.team.svc'] })], 'allowed'],
    [
      'an ExternalName of the network’s own namespace',
      { address: 'proxy.platform.svc', namespace: 'platform' },
      [],
      'allowed',
    ],
    [
      'an alias that is a Service of their own',
      { address: 'db.team.svc', aliases: ['db.team.svc.cluster.local'] },
      [all()],
      'allowed',
    ],
    [
      'not an alias that is an ExternalName',
      { address: 'db.team.svc', aliases: ['proxy.team.svc'] },
      [all()],
      'AddressNotAllowed proxy.team.svc',
    ],
    ['not of another namespace', { address: 'db.prod.svc' }, [all()], 'AddressNotAllowed db.prod.svc'],
    ['not one label deeper', { address: 'x.db.team.svc' }, [all()], 'AddressNotAllowed x.db.team.svc'],
    ['not all Services at once', { address: '*.team.svc' }, [all()], 'AddressNotAllowed *.team.svc'],
    [
      'an alias under a suffix',
      { address: 'db.team.svc', aliases: ['db.team.example'] },
      [all({ names: ['team.example'] })],
      'allowed',
    ],
    [
      'a suffix itself',
      { address: 'db.team.svc', aliases: ['team.example'] },
      [all({ names: ['team.example'] })],
      'allowed',
    ],
    [
      'not where the suffix begins with a dot',
      { address: 'db.team.svc', aliases: ['team.example'] },
      [all({ names: ['.team.example'] })],
      'AddressNotAllowed team.example',
    ],
    [
      'not inside a label',
      { address: 'db.team.svc', aliases: ['evilteam.example'] },
      [all({ names: ['team.example'] })],
      'AddressNotAllowed evilteam.example',
    ],
    [
      'not without a suffix',
      { address: 'db.team.svc', aliases: ['db.prod.internal'] },
      [all()],
      'AddressNotAllowed db.prod.internal',
    ],
    [
      'not by a suffix of nothing',
      { address: 'db.team.svc', aliases: ['db.prod'] },
      [all({ names: ['.'] })],
      'AddressNotAllowed db.prod',
    ],
    [
      'addresses admit no alias',
      { aliases: ['web.team.internal'] },
      [all({ addresses: ['*.team.internal'] })],
      'AddressNotAllowed web.team.internal',
    ],
  ])('%s', (_, declared, entries, wanted) => {
    expect(admit(declared, entries)).toBe(wanted)
  })
})

describe('a refused Service', () => {
  it.each([
    ['proxy', 'Service team/proxy is an ExternalName, which can stand for anything'],
    ['manual', 'Service team/manual has no selector, so that its endpoints can be anything'],
    ['web', 'there is no Service team/web'],
  ])('is told with its reason: %s', (service, why) => {
    expect(admission({ address: `${service}.team.svc` }, [all()])).toMatchObject({
      message: `address "${service}.team.svc" is outside what namespace "team" may name: ${why}`,
    })
  })
})

const declared = (uid: string, address: string, aliases: string[] = [], day = 1): Declared => ({
  uid,
  createdAt: `2026-01-0${day}T00:00:00Z`,
  rule: normaliseRule({ address, aliases }),
})

describe('a taken name', () => {
  const taken = (...resources: Declared[]) =>
    [...takenNames([...resources].reverse())].map(([uid, { name, by }]) => `${uid}: ${name} is of ${by}`)
  it.each<[string, Declared[], string[]]>([
    ['stays with the older', [declared('b', 'db', [], 1), declared('a', 'db', [], 2)], ['a: db is of b']],
    ['stays with the smaller UID', [declared('a', 'db'), declared('b', 'db')], ['b: db is of a']],
    ['may be an alias', [declared('a', 'x', ['db'], 1), declared('b', 'db', [], 2)], ['b: db is of a']],
    ['may be taken by an alias', [declared('a', 'db', [], 1), declared('b', 'x', ['db'], 2)], ['b: db is of a']],
    ['is the same in any spelling', [declared('a', 'db.x', [], 1), declared('b', 'DB.x.', [], 2)], ['b: db.x is of a']],
    [
      'is not taken by who was refused',
      [declared('a', 'db', [], 1), declared('b', 'db', ['web'], 2), declared('c', 'web', [], 3)],
      ['b: db is of a'],
    ],
    [
      'is no wildcard and no address',
      [declared('a', '*.x'), declared('b', '*.x'), declared('c', '10.0.0.1'), declared('d', '10.0.0.1')],
      [],
    ],
    ['is not taken from itself', [declared('a', 'db', ['db2'])], []],
  ])('%s', (_, resources, wanted) => {
    expect(taken(...resources)).toEqual(wanted)
  })
})

describe('a tie', () => {
  const ties = (one: string, ...others: string[]) =>
    tiesOf(declared('one', one, [], 2), [
      declared('one', one, [], 2),
      ...others.map((address, at) => declared(`o${at}`, address, [], at + 1)),
    ])
  it('is told with its winner', () => {
    expect(ties('*.internal', '*.internal', 'db.internal', '*.internal.x', '*.internal')).toEqual([
      { uid: 'o0', address: '*.internal', wins: true },
      { uid: 'o3', address: '*.internal', wins: false },
    ])
  })
  it.each([
    ['patterns that share a name', 'db*.x', '*bd.x', ['*bd.x']],
    ['patterns that share none', 'db.*', 'web*', []],
    ['patterns of another specificity', '*.x', '*.xy', []],
    ['the same CIDR', '10.0.0.0/8', '10.0.0.0/8', ['10.0.0.0/8']],
    ['a smaller CIDR', '10.0.0.0/8', '10.0.0.0/16', []],
    ['the same address', '10.0.0.1', '10.0.0.1', ['10.0.0.1']],
    ['an exact name, which is refused instead', 'db', 'db', []],
  ])('%s', (_, one, other, wanted) => {
    expect(ties(one, other).map(({ address }) => address)).toEqual(wanted)
  })
  it('is looked for as names would show it', () => {
    const pattern = fc.stringMatching(/^[ab*?]{0,6}$/)
    fc.assert(
      fc.property(pattern, pattern, fc.stringMatching(/^[ab]{0,6}$/), (a, b, name) => {
        expect(patternsMeet(a, b)).toBe(patternsMeet(b, a))
        if (matchesPattern(a, name) && matchesPattern(b, name)) expect(patternsMeet(a, b)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})
