import { describe, expect, it } from 'vitest'
import type { KubeObject } from '../object.ts'
import { shapeOf } from './shape.ts'

const service = (metadata: object): KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'team', uid: 'u', resourceVersion: '7', managedFields: [{}], ...metadata },
    spec: { type: 'ClusterIP', selector: { app: 'web' }, ports: [{ port: 80 }], clusterIP: '10.0.0.1' },
    status: { loadBalancer: {} },
  }) as KubeObject
const kept = { name: 'web', namespace: 'team', uid: 'u', resourceVersion: '7' }

describe('what is kept in memory', () => {
  it('is of a Service of others only whether it selects pods', () => {
    const one = service({ labels: { app: 'web' }, annotations: { note: 'x' } })
    expect(shapeOf('Service', one)).toEqual({
      ...{ apiVersion: 'v1', kind: 'Service', metadata: kept },
      spec: { type: 'ClusterIP', selector: { app: 'web' } },
    })
  })

  it('is of one that is exposed its annotations and ports, too', () => {
    const one = service({ annotations: { note: 'x', 'sallyport.dev/expose': 'office' } })
    expect(shapeOf('Service', one)).toEqual({
      ...{ apiVersion: 'v1', kind: 'Service' },
      metadata: { ...kept, annotations: { 'sallyport.dev/expose': 'office' } },
      spec: { type: 'ClusterIP', selector: { app: 'web' }, ports: [{ port: 80 }] },
    })
  })

  it('is all of the operator’s own, and of other kinds, but who has written it', () => {
    const own = service({ labels: { 'app.kubernetes.io/managed-by': 'sallyport-operator' } })
    const { managedFields: _, ...metadata } = own.metadata as Record<string, unknown>
    expect(shapeOf('Service', own)).toEqual({ ...own, metadata })
    const deployment = { ...service({}), kind: 'Deployment' }
    expect(shapeOf('Deployment', deployment)).toEqual({ ...deployment, metadata: kept })
  })
})
