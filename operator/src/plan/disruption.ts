import { type KubeObject, type Owner, ownerReference, stamped } from '../object.ts'
import { differs } from './difference.ts'
import type { Settings, Step } from './step.ts'

/** What a budget is for: pods that `selector` finds, of `owner`. */
export type BudgetWant = {
  name: string
  owner: Owner
  labels: Record<string, string>
  selector: Record<string, string>
  /** Pods that it covers. */
  pods: number
}

/**
 * Plans the PodDisruptionBudget of several pods: an eviction takes one at a time. A single pod has none: one that lets it go keeps nothing, and one
 * that does not would keep its node from ever being drained.
 */
export function planBudget(want: BudgetWant, live: KubeObject | undefined, platform: Settings['platform']): Step[] {
  if (want.pods <= 1 || platform === 'host') return live === undefined ? [] : [{ do: 'remove', object: live }]
  const object = budget(want)
  return differs(object, live) ? [{ do: 'apply', object }] : []
}

function budget({ name, owner, labels, selector }: BudgetWant): KubeObject {
  return stamped({
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, namespace: owner.metadata.namespace, labels, ownerReferences: [ownerReference(owner)] },
    spec: {
      maxUnavailable: 1,
      // A pod that is not ready serves nobody: it must not hold up a drain.
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
      selector: { matchLabels: selector },
    },
  })
}
