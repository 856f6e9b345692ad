/** What the accounts of a release may do, verb by verb, as the API server's own authoriser says it. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Api, openApi } from '../kube/api.ts'
import { describeKube } from '../kube/cluster.ts'
import { asList, type Manifest, renderRights } from './helm.ts'
import { MATRIX } from './matrix.ts'

/** The release's namespace, a managed one, one of an application, and one that is nobody's. */
const NAMESPACES = ['sallyport', 'networks', 'apps', 'data', 'elsewhere', '']
const VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']
/** Names that the chart's rules tell apart. */
const NAMED: Record<string, string[]> = { configmaps: ['sallyport-login'], leases: ['sallyport-operator'] }
const LONG_MS = 900_000

type Resource = { group: string; resource: string; namespaced: boolean }
type Question = { verb: string; group: string; resource: string; namespace: string; name: string }

describeKube('what the accounts may do', cluster => {
  let api: Api
  let resources: Resource[]
  beforeAll(async () => {
    api = openApi(cluster().kubeconfig)
    for (const name of NAMESPACES.filter(name => name !== '')) await cluster().kube(['create', 'namespace', name])
    resources = await everyResource(api)
  }, LONG_MS)
  afterAll(() => api?.close())

  it.each(['several managed namespaces', 'Roles only'])(
    'is what the rendered chart lists, and nothing else, for operator and Controller: %s',
    { timeout: LONG_MS },
    async name => {
      const rights = await renderRights(MATRIX[name])
      await cluster().kube(['apply', '-f', '-'], asList(rights))
      const questions = resources.flatMap(resource => questionsAbout(resource))
      expect(questions.length).toBeGreaterThan(2000)
      const anyone = await allowed(api, 'elsewhere:nobody', questions)
      for (const account of ['sallyport-operator', 'sallyport-controller']) {
        const may = await allowed(api, `sallyport:${account}`, questions)
        const listed = questions.filter(question => isListed(rights, account, question)).map(text)
        expect(listed.length > 0).toBe(account === 'sallyport-operator')
        expect(may.filter(question => !anyone.includes(question))).toEqual(listed.filter(q => !anyone.includes(q)))
      }
      await cluster().kube(['delete', '-f', '-'], asList(rights))
    },
  )

  it('reads Secrets in managed namespaces, and in no other', { timeout: LONG_MS }, async () => {
    const rights = await renderRights(MATRIX['several managed namespaces'])
    await cluster().kube(['apply', '-f', '-'], asList(rights))
    const questions = NAMESPACES.map(namespace => ({
      verb: 'get',
      group: '',
      resource: 'secrets',
      namespace,
      name: '',
    }))
    expect(await allowed(api, 'sallyport:sallyport-operator', questions)).toEqual([
      'get secrets in sallyport',
      'get secrets in networks',
    ])
    expect(await allowed(api, 'sallyport:sallyport-controller', questions)).toEqual([])
    const keys = (path: string) =>
      review(api, 'sallyport:sallyport-controller', { nonResourceAttributes: { verb: 'get', path } })
    expect(await Promise.all(['/openid/v1/jwks', '/.well-known/openid-configuration', '/metrics'].map(keys))).toEqual([
      true,
      true,
      false,
    ])
    await cluster().kube(['delete', '-f', '-'], asList(rights))
  })
})

/** Every resource that the API server serves, subresources among them. */
async function everyResource(api: Api): Promise<Resource[]> {
  const { groups } = await api.take('GET', '/apis')
  const paths: [group: string, path: string][] = [
    ['', '/api/v1'],
    ...groups.map(({ name, preferredVersion }: { name: string; preferredVersion: { groupVersion: string } }) => [
      name,
      `/apis/${preferredVersion.groupVersion}`,
    ]),
  ]
  const lists = await Promise.all(
    paths.map(async ([group, path]) => {
      const list: { resources: { name: string; namespaced: boolean }[] } = await api.take('GET', path)
      return list.resources.map(({ name, namespaced }) => ({ group, resource: name, namespaced }))
    }),
  )
  return lists.flat()
}

/** All verbs in each namespace; of what has names, one that the chart names too. */
function questionsAbout({ group, resource, namespaced }: Resource): Question[] {
  const names = ['', ...(NAMED[resource] ?? [])]
  // Namespaces are asked for as the API server does: in the namespace itself.
  const namespaces = namespaced || resource === 'namespaces' ? NAMESPACES : ['']
  return names.flatMap(name =>
    namespaces.flatMap(namespace => VERBS.map(verb => ({ verb, group, resource, namespace, name }))),
  )
}

const text = ({ verb, group, resource, namespace, name }: Question): string =>
  `${verb} ${resource}${group === '' ? '' : `.${group}`}${name === '' ? '' : ` ${name}`} in ${namespace || 'the cluster'}`

/** The questions that the API server's authoriser answers with yes. */
async function allowed(api: Api, account: string, questions: Question[]): Promise<string[]> {
  const answers = await Promise.all(
    questions.map(({ verb, group, resource, namespace, name }) => {
      const [base, subresource = ''] = resource.split('/')
      return review(api, account, { resourceAttributes: { verb, group, resource: base, subresource, namespace, name } })
    }),
  )
  return questions.filter((_, index) => answers[index]).map(text)
}

/** Whether the account, `namespace:name`, may do that. */
async function review(api: Api, account: string, asked: object): Promise<boolean> {
  const [namespace = ''] = account.split(':')
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated']
  const { status } = await api.take('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: { user: `system:serviceaccount:${account}`, groups, ...asked },
  })
  return status.allowed
}

/** Whether a Role or ClusterRole that is bound to the account has a rule for it. */
function isListed(rights: Manifest[], account: string, question: Question): boolean {
  return rights
    .filter(({ kind }) => kind.endsWith('Binding'))
    .filter(({ subjects }) => subjects.some(({ name }: { name: string }) => name === account))
    .some(({ kind, metadata, roleRef }) => {
      if (kind === 'RoleBinding' && metadata.namespace !== question.namespace) return false
      const role = rights.find(
        other =>
          other.kind === roleRef.kind &&
          other.metadata.name === roleRef.name &&
          other.metadata.namespace === metadata.namespace,
      )
      return (role?.rules ?? []).some(
        ({ apiGroups, resources, verbs, resourceNames = [question.name] }: Record<string, string[]>) =>
          apiGroups!.includes(question.group) &&
          resources!.includes(question.resource) &&
          verbs!.includes(question.verb) &&
          resourceNames.includes(question.name),
      )
    })
}
