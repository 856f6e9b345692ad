/** The cluster that `make e2e` has started, seen from a network beside its nodes: their addresses are reached, no pod or Service is. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const COMMAND_TIMEOUT_MS = 300_000
const MAX_OUTPUT = 64 * 1024 * 1024

/** What a command has said. `code` is 0 when it succeeded. */
export type Output = { code: number; stdout: string; stderr: string }

/** Which cluster it is: hack/kube's, or kind's. */
export const KIND_OF_CLUSTER: string = required('SALLYPORT_CLUSTER')
/** Nodes that run pods. */
export const NODES = Number(required('SALLYPORT_CLUSTER_NODES'))
/** File of the administrator's kubeconfig. */
export const KUBECONFIG: string = required('KUBECONFIG')

/** Name of one of the images under test, as pods name it. */
export const image = (name: 'controller' | 'relay' | 'connector' | 'operator'): string =>
  `sallyport/${name}:${required('SALLYPORT_IMAGE_TAG')}`

/** Runs kubectl as the administrator; `input` goes to its standard input. */
export const kubectl = (args: string[], input?: string): Promise<Output> => run('kubectl', args, input)

/** Runs kubectl and throws with what it said when it fails. Gives its standard output. */
export const kube = (args: string[], input?: string): Promise<string> => succeed('kubectl', args, input)

/** Runs helm and throws with what it said when it fails. Gives its standard output. */
export const helm = (args: string[], input?: string): Promise<string> => succeed('helm', args, input)

/** Applies objects. */
export async function apply(...objects: object[]): Promise<void> {
  await kube(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
}

/** Gives an object as JSON; undefined when there is none. */
export async function find<T>(kind: string, name: string, namespace: string): Promise<T | undefined> {
  const found = await kube(['get', kind, name, '-n', namespace, '--ignore-not-found', '-o', 'json'])
  return found === '' ? undefined : JSON.parse(found)
}

/** Address of a node, at which its NodePorts are reached. */
export async function nodeAddress(): Promise<string> {
  const path = '{.items[0].status.addresses[?(@.type=="InternalIP")].address}'
  return kube(['get', 'nodes', '-o', `jsonpath=${path}`])
}

/** Makes a directory of each node, for a hostPath volume of pods that run as `user`. */
export async function makeNodeDirectory(path: string, user: number): Promise<void> {
  const make = ['sh', '-c', `mkdir -p ${path} && chown ${user}:${user} ${path} && chmod 700 ${path}`] as const
  // A node of hack/kube has the machine's file system, one of kind its own.
  if (KIND_OF_CLUSTER !== 'kind') await succeed('sh', make.slice(1))
  else for (const node of await nodeNames()) await succeed('docker', ['exec', node, ...make])
}

async function nodeNames(): Promise<string[]> {
  return (await kube(['get', 'nodes', '-o', 'jsonpath={.items[*].metadata.name}'])).split(' ')
}

/** Builds an image from a Dockerfile and loads it into every node: for a test that needs another version of something. */
export async function buildImage(dockerfile: string, context: string, name: string): Promise<void> {
  const scripts = join(import.meta.dirname, '../../hack')
  if (process.env.BUILDER === 'buildah') {
    await succeed(join(scripts, 'kube/build-image'), [dockerfile, context, name])
  } else {
    await succeed('docker', ['build', '--quiet', '--tag', name, '--file', dockerfile, context])
  }
  if (KIND_OF_CLUSTER === 'kind') await succeed(join(scripts, 'kind/load-image'), [name])
}

/** Runs a command in the same network. */
export async function run(command: string, args: string[], input?: string): Promise<Output> {
  const child = promisify(execFile)(command, args, { timeout: COMMAND_TIMEOUT_MS, maxBuffer: MAX_OUTPUT })
  child.child.stdin?.end(input)
  try {
    return { code: 0, ...(await child) }
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string }
    return { code: typeof code === 'number' ? code : 1, stdout, stderr: stderr === '' ? String(error) : stderr }
  }
}

async function succeed(command: string, args: string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await run(command, args, input)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}${stdout}`)
  return stdout
}

function required(name: string): string {
  const value = process.env[name]
  if (value === undefined)
    throw new Error(`${name} is not set: make e2e starts a cluster and runs these tests beside it`)
  return value
}
