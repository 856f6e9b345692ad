import { type AnyKind, FIELD_MANAGER, type KubeObject, MANAGED_BY_LABEL } from '../object.ts'
import { EXPOSE_ANNOTATION, type ServiceFields } from '../plan/exposure.ts'

const OWN_ANNOTATIONS = 'sallyport.dev/'

/**
 * What is kept in memory of an object: never who has written which field, and of the many Services that are not the operator's only whether they
 * select pods, and the ports of those that are exposed.
 */
export function shapeOf(kind: AnyKind, object: KubeObject): KubeObject {
  const whole = withoutManagers(object)
  const { metadata } = whole
  if (kind !== 'Service' || metadata.labels?.[MANAGED_BY_LABEL] === FIELD_MANAGER) return whole
  const { apiVersion } = object
  const { name, namespace, uid, resourceVersion, deletionTimestamp } = metadata
  const { type, selector, ports } = (object as ServiceFields).spec ?? {}
  const annotations = Object.entries(metadata.annotations ?? {}).filter(([key]) => key.startsWith(OWN_ANNOTATIONS))
  const isExposed = metadata.annotations?.[EXPOSE_ANNOTATION] !== undefined
  const kept = { name, namespace, uid, resourceVersion, deletionTimestamp }
  return {
    apiVersion,
    kind,
    metadata: {
      // What is absent stays absent.
      ...(JSON.parse(JSON.stringify(kept)) as KubeObject['metadata']),
      ...(annotations.length === 0 ? {} : { annotations: Object.fromEntries(annotations) }),
    },
    spec: { type, selector, ...(isExposed ? { ports } : {}) },
  }
}

/** The object without who has written which field. */
export function withoutManagers(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata as KubeObject['metadata'] & { managedFields?: unknown }
  return { ...object, metadata }
}
