import type { Declared } from '../object.ts'
import { isFalse, type Verdict } from './condition.ts'

/** Whether the operator runs a Connector, or a Relay's replicas. */
export const isManaged = ({ spec }: Declared<'Connector'> | Declared<'Relay'>): boolean =>
  spec?.deployment !== 'External'

/** Refuses what lies outside of the namespaces in which the operator runs things. */
export function refuse(object: Declared, managedNamespaces: readonly string[]): Verdict | undefined {
  const { kind, invalid, metadata } = object
  if (invalid !== undefined) return isFalse('Accepted', 'Invalid', invalid)
  if (managedNamespaces.includes(metadata.namespace)) return undefined
  const message = `the operator does not manage namespace "${metadata.namespace}", so a ${kind} has no effect there`
  return isFalse('Accepted', 'NamespaceNotManaged', message)
}
