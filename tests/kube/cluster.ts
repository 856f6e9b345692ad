import { execFile, spawnSync } from 'node:child_process'
import { closeSync, existsSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const scripts = join(import.meta.dirname, '../../hack/kube')
export const CRDS = join(import.meta.dirname, '../../crds')

/** Time for `up` when everything has to be compiled first. */
const BUILD_TIMEOUT_MS = 45 * 60_000
const COMMAND_TIMEOUT_MS = 60_000
const READS = ['get', 'list', 'watch']

/** What a command has said. `code` is 0 when it succeeded. */
export type Output = { code: number; stdout: string; stderr: string }

/** One request to the API server, as its audit log has it. */
export type Asked = {
  user: string
  verb: string
  uri: string
  code: number
  group: string
  resource: string
  namespace: string
  name: string
}

/** A running control plane. */
export type Cluster = {
  /** File of the administrator's kubeconfig. */
  kubeconfig: string
  /** The kubectl of this cluster: a path, or its bare name. */
  client: string
  /** Runs kubectl as the administrator; `input` goes to its standard input. */
  kubectl(args: string[], input?: string): Promise<Output>
  /** Runs kubectl and throws with what it said when it fails. Gives its standard output. */
  kube(args: string[], input?: string): Promise<string>
  /** Writes to the API server so far, those of the control plane left out, and reads of accounts in namespace `sallyport`. */
  asked(): Asked[]
  /** The writes among them. */
  writes(): Asked[]
}

/** Why there can be no cluster here; undefined when there can. */
function missing(): string | undefined {
  const id = spawnSync('bash', ['-c', `. ${scripts}/lib.sh; echo "$bin"`], { encoding: 'utf8' }).stdout.trim()
  const built = ['etcd', 'kube-apiserver', 'kube-controller-manager'].every(name => existsSync(join(id, name)))
  if (!built && spawnSync('go', ['version']).status !== 0) return 'Go is missing (https://go.dev/dl)'
  for (const tool of ['openssl', 'flock', 'curl', 'unzip', 'npm']) {
    if (spawnSync('which', [tool]).status !== 0) return `${tool} is missing`
  }
  return undefined
}

/** Describes promises kept against a real API server, one cluster for all of `body`. Skipped aloud where there can be none; with CI=true that fails. */
export function describeKube(name: string, body: (cluster: () => Cluster) => void): void {
  const reason = missing()
  if (reason !== undefined) {
    if (process.env.CI === 'true') it(name, () => expect.fail(`no Kubernetes control plane: ${reason}`))
    else describe.skip(`${name} (${reason})`, () => body(() => expect.fail('skipped')))
    console.warn(`SKIPPED: ${name}: ${reason}`)
    return
  }
  describe(name, () => {
    let cluster: Cluster | undefined
    const directory = mkdtempSync(join(tmpdir(), 'sallyport-kube-'))
    beforeAll(async () => {
      cluster = await up(join(directory, 'cluster'))
    }, BUILD_TIMEOUT_MS)
    afterAll(async () => {
      await run(join(scripts, 'down'), [], { CLUSTER_DIR: join(directory, 'cluster') })
      rmSync(directory, { recursive: true, force: true })
    })
    body(() => cluster ?? expect.fail('the cluster has not started'))
  })
}

async function up(directory: string): Promise<Cluster> {
  const started = await run(
    join(scripts, 'up'),
    ['--control-plane-only'],
    { CLUSTER_DIR: directory },
    undefined,
    BUILD_TIMEOUT_MS,
  )
  if (started.code !== 0) throw new Error(`the cluster did not start: ${started.stdout}${started.stderr}`)
  const client = /^kubectl: (.*)$/m.exec(started.stdout)?.[1] ?? 'kubectl'
  const kubeconfig = join(directory, 'kubeconfig')
  // Its own folder for what kubectl has discovered: a shared one would hold another cluster's kinds.
  const environment = { KUBECONFIG: kubeconfig, KUBECACHEDIR: join(directory, 'kubectl') }
  const kubectl = (args: string[], input?: string) => run(client, args, environment, input)
  const kube = async (args: string[], input?: string) => {
    const output = await kubectl(args, input)
    if (output.code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${output.stderr}`)
    return output.stdout
  }
  await kube(['apply', '-f', CRDS])
  await established({ kubectl })
  // Established is said a moment before the kinds can be listed.
  await eventually('lists of the new kinds', async () =>
    (await kubectl(['get', 'remotenetworks,connectors,resources,groups,relays', '-A'])).code === 0 ? true : undefined,
  )
  const asked = auditReader(join(directory, 'log/audit.log'))
  const writes = () => asked().filter(({ verb }) => !READS.includes(verb))
  return { kubeconfig, client, kubectl, kube, asked, writes }
}

/** Waits until every CRD can be used. kubectl gives up on one that has no conditions yet. */
export async function established({ kubectl }: Pick<Cluster, 'kubectl'>): Promise<void> {
  const wait = ['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']
  await eventually('the new definitions', async () => ((await kubectl(wait)).code === 0 ? true : undefined))
}

/** Reads what an audit log has gained since the last time, and gives all of it. */
function auditReader(path: string): () => Asked[] {
  const all: Asked[] = []
  let read = 0
  return () => {
    const text = readFrom(path, read)
    const end = text.lastIndexOf('\n') + 1
    read += Buffer.byteLength(text.slice(0, end))
    for (const line of text.slice(0, end).split('\n')) if (line !== '') all.push(askedOf(line))
    return all
  }
}

function readFrom(path: string, position: number): string {
  const file = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(Math.max(0, fstatSync(file).size - position))
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, position))
  } finally {
    closeSync(file)
  }
}

function askedOf(line: string): Asked {
  const { user, verb, requestURI, responseStatus, objectRef = {} } = JSON.parse(line)
  return {
    user: user.username,
    verb,
    uri: requestURI,
    code: responseStatus.code,
    group: objectRef.apiGroup ?? '',
    resource: [objectRef.resource, objectRef.subresource].filter(part => part).join('/'),
    namespace: objectRef.namespace ?? '',
    name: objectRef.name ?? '',
  }
}

async function run(
  command: string,
  args: string[],
  environment: Record<string, string>,
  input?: string,
  timeout = COMMAND_TIMEOUT_MS,
): Promise<Output> {
  const child = promisify(execFile)(command, args, {
    env: { ...process.env, ...environment },
    timeout,
    maxBuffer: 64 * 1024 * 1024,
  })
  child.child.stdin?.end(input)
  try {
    return { code: 0, ...(await child) }
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string }
    return { code: typeof code === 'number' ? code : 1, stdout, stderr: stderr === '' ? String(error) : stderr }
  }
}

/** Reads every `everyMs` until `read` gives something other than undefined or false, at most for `timeoutMs`; `what` names it in the failure. */
export async function eventually<T>(
  what: string,
  read: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 60_000,
  everyMs = 25,
): Promise<T> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const value = await read()
    if (value !== undefined && value !== false) return value
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, everyMs))
  }
}
