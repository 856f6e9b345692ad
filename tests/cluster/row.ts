/** What the Controller of the release keeps, and its REST API as the operator speaks it. */
import { type ControllerClient, createControllerClient } from '@sallyport/runtime'
import { find, kube } from './cluster.ts'
import { NAMESPACE, RELEASE } from './release.ts'

/** Tables of what belongs to declared objects, each with the column that names the object. */
const TABLES = {
  declared: 'uid',
  slots: 'uid',
  enrolment_tokens: 'slot',
  connector_keys: 'slot',
  relay_keys: 'relay',
}
const SCRIPT = `
  const { DatabaseSync } = require('node:sqlite')
  const database = new DatabaseSync('/var/lib/sallyport/controller.sqlite', { readOnly: true })
  const rows = Object.entries(${JSON.stringify(TABLES)}).flatMap(([table, column]) =>
    database.prepare('select distinct ' + column + ' as id from ' + table).all().map(({ id }) => table + ' ' + id))
  console.log(JSON.stringify(rows.sort()))`

type Settings = { spec: { template: { spec: { containers: { env: { name: string; value?: string }[] }[] } } } }

/** Rows that belong to declared objects, as `table id`, in order; throws while the Controller is away. */
export async function rows(): Promise<string[]> {
  const script = ['exec', `deployment/${RELEASE}-controller`, '-n', NAMESPACE, '--', 'node', '--eval', SCRIPT]
  return JSON.parse(await kube(script))
}

/** The Controller's REST API with a token of the operator's ServiceAccount. */
export async function asOperator(): Promise<ControllerClient> {
  const account = `${RELEASE}-operator`
  const operator = await find<Settings>('deployment', account, NAMESPACE)
  const login = await find<{ data: { url: string } }>('configmap', `${RELEASE}-login`, NAMESPACE)
  const secret = await find<{ data: Record<string, string> }>('secret', `${RELEASE}-ca`, NAMESPACE)
  const { env } = operator!.spec.template.spec.containers[0]!
  const audience = env.find(({ name }) => name === 'SALLYPORT_CONTROLLER_AUDIENCE')!.value
  const token = await kube(['create', 'token', account, '-n', NAMESPACE, `--audience=${audience}`])
  return createControllerClient({
    url: login!.data.url,
    ca: () => Buffer.from(secret!.data['ca.crt']!, 'base64').toString(),
    headers: async () => ({ authorization: `Bearer ${token.trim()}` }),
  })
}

/** Ends or starts the pods of a Deployment of the release, and waits until it is done. */
export async function scale(component: 'controller' | 'operator', replicas: number): Promise<void> {
  const name = `${RELEASE}-${component}`
  await kube(['scale', 'deployment', name, '-n', NAMESPACE, `--replicas=${replicas}`])
  const labels = `app.kubernetes.io/instance=${RELEASE},app.kubernetes.io/component=${component}`
  if (replicas > 0) await kube(['rollout', 'status', `deployment/${name}`, '-n', NAMESPACE, '--timeout=300s'])
  else await kube(['wait', '--for=delete', 'pods', '-l', labels, '-n', NAMESPACE, '--timeout=300s'])
}
