import type { Manifest } from '../chart/helm.ts'

/** One verb on one resource (`pods`, `pods/log`) of an API group, in a namespace or in all, of one name or of any: then those are empty. */
export type Right = { group: string; resource: string; verb: string; namespace: string; name: string }

const ANY = ''

type Rule = { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }

/** The rights that Roles and ClusterRoles among `manifests` give to a ServiceAccount. */
export function rightsOf(manifests: readonly Manifest[], account: string, namespace: string): Right[] {
  const isAccount = (subject: Record<string, string>) =>
    subject.kind === 'ServiceAccount' && subject.name === account && subject.namespace === namespace
  const roleOf = ({ roleRef, metadata }: Manifest) =>
    manifests.find(
      ({ kind, metadata: { name, namespace: at } }) =>
        kind === roleRef.kind && name === roleRef.name && (kind === 'ClusterRole' || at === metadata.namespace),
    )
  return manifests
    .filter(({ kind, subjects }) => kind.endsWith('RoleBinding') && subjects.some(isAccount))
    .flatMap(binding =>
      (roleOf(binding)?.rules ?? []).flatMap((rule: Rule) => granted(rule, binding.metadata.namespace ?? ANY)),
    )
}

function granted({ apiGroups, resources, verbs, resourceNames = [ANY] }: Rule, namespace: string): Right[] {
  return apiGroups.flatMap(group =>
    resources.flatMap(resource =>
      verbs.flatMap(verb => resourceNames.map(name => ({ group, resource, verb, namespace, name }))),
    ),
  )
}

/** Whether what was asked for needs this right. */
export function needs(asked: Right, { group, resource, verb, namespace, name }: Right): boolean {
  return (
    asked.group === group &&
    asked.resource === resource &&
    asked.verb === verb &&
    (namespace === ANY || asked.namespace === namespace) &&
    (name === ANY || asked.name === name)
  )
}
