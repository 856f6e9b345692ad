import { describe, expect, it } from 'vitest'
import type { ConfigMap, KubeObject } from '../object.ts'
import { publicUrlOf } from './public-url.ts'
import { settingsOf } from './settings.fixture.ts'

const INSIDE = 'https://sallyport-controller.sallyport.svc:443'
const service = (spec: object, ingress: object[] = []): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'sallyport-controller', namespace: 'sallyport' },
  spec: { ports: [{ port: 8443, nodePort: 30443 }], ...spec },
  status: { loadBalancer: { ingress } },
})
const node = (name: string, addresses: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: { addresses: Object.entries(addresses).map(([type, address]) => ({ type, address })) },
})
const login = (url: string): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'l' },
  data: { url },
})

const [plain, one, two] = [service({}), node('b', { InternalIP: '10.0.0.2' }), node('a', { InternalIP: '10.0.0.1' })]
const outside = node('c', { InternalIP: '10.0.0.3', ExternalIP: '203.0.113.3' })
const balanced = service({}, [{ ip: '198.51.100.7' }, { hostname: 'lb.example.com' }])
const closed = service({ ports: [{ port: 443 }] })
const SIX = 'https://[fd00::1]:30443'

type Row = [string, { service?: KubeObject; nodes?: KubeObject[]; known?: string }, string]
const rows: Row[] = [
  ['that in the cluster before there is a Service', { nodes: [one] }, INSIDE],
  ['that in the cluster where the Service has no address outside', { service: closed, nodes: [one] }, INSIDE],
  ['that in the cluster where no Node is known', { service: plain }, INSIDE],
  ["the LoadBalancer's first address, with its port", { service: balanced, nodes: [one] }, 'https://198.51.100.7:8443'],
  [
    "a LoadBalancer's name, without the port that https has anyway",
    { service: service({ ports: [{ port: 443 }] }, [{ hostname: 'lb.example.com' }]) },
    'https://lb.example.com',
  ],
  ["the first Node's by name, with the NodePort", { service: plain, nodes: [one, two] }, 'https://10.0.0.1:30443'],
  [
    'an external address of a Node before internal ones',
    { service: plain, nodes: [one, outside] },
    'https://203.0.113.3:30443',
  ],
  ['an IPv6 address in brackets', { service: plain, nodes: [node('a', { InternalIP: 'fd00::1' })] }, SIX],
  [
    'the known one while another Node comes',
    { service: plain, nodes: [one, two], known: 'https://10.0.0.2:30443' },
    'https://10.0.0.2:30443',
  ],
  [
    'the known one while a Node with an external address comes',
    { service: plain, nodes: [one, outside], known: 'https://10.0.0.2:30443' },
    'https://10.0.0.2:30443',
  ],
  [
    'another one when its Node has gone',
    { service: plain, nodes: [two], known: 'https://10.0.0.2:30443' },
    'https://10.0.0.1:30443',
  ],
  [
    'another one when its NodePort has changed',
    { service: plain, nodes: [one], known: 'https://10.0.0.2:30444' },
    'https://10.0.0.2:30443',
  ],
  [
    "the LoadBalancer's once it has an address",
    { service: balanced, nodes: [one], known: 'https://10.0.0.2:30443' },
    'https://198.51.100.7:8443',
  ],
  [
    "the known one of a LoadBalancer's addresses",
    { service: balanced, known: 'https://lb.example.com:8443' },
    'https://lb.example.com:8443',
  ],
]

describe('the public URL of the Controller is', () => {
  it.each(rows)('%s', (_, { service, nodes = [], known }, wanted) => {
    const world = { service, nodes, login: known === undefined ? undefined : login(known) }
    const settings = settingsOf({ controllerUrl: INSIDE, controllerPublicUrl: undefined })
    expect(publicUrlOf(world, settings)).toBe(wanted)
  })

  it('the configured one whatever there is', () => {
    const settings = settingsOf({ controllerPublicUrl: 'https://named.example.com' })
    expect(publicUrlOf({ service: balanced, nodes: [one], login: undefined }, settings)).toBe(
      'https://named.example.com',
    )
  })
})
