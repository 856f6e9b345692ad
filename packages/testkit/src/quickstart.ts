import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments, stringify } from 'yaml'

const quickstart = join(import.meta.dirname, '../../../examples/quickstart')

/** An object as it stands in YAML. */
export type Manifest = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string }
  spec: Record<string, unknown>
}

export type QuickstartPorts = { web: number; tcp: number; relays: string[] }

/** The quickstart's objects for loopback, with these ports and addresses in place of the examples'. */
export function quickstartOnLoopback(ports: QuickstartPorts): Manifest[] {
  const base = readManifests(join(quickstart, 'base'))
  const overlay = readManifests(join(quickstart, 'overlays/loopback'))
  const merged = base.map(object => {
    const patch = overlay.find(({ kind, metadata }) => kind === object.kind && metadata.name === object.metadata.name)
    return patch === undefined ? object : (merge(object, patch) as Manifest)
  })
  const added = overlay.filter(
    ({ kind, metadata }) => !base.some(object => object.kind === kind && object.metadata.name === metadata.name),
  )
  return [...merged, ...added].map(object => {
    if (object.kind === 'Relay')
      return { ...object, spec: { ...object.spec, replicas: ports.relays.length, address: { list: ports.relays } } }
    if (object.kind !== 'Resource') return object
    return withPorts(object, object.metadata.name === 'web' ? [ports.web] : [ports.tcp])
  })
}

/** The same Resource with other TCP ports. */
export function withPorts(resource: Manifest, ports: number[]): Manifest {
  const protocols = {
    ...(resource.spec.protocols as object),
    tcp: { policy: 'Restricted', ports: ports.map(port => ({ start: port, end: port })) },
  }
  return { ...resource, spec: { ...resource.spec, protocols } }
}

/** Objects of a directory of YAML; what is no Sallyport object is left out. */
export function readManifests(dir: string): Manifest[] {
  return readdirSync(dir)
    .filter(name => name.endsWith('.yaml'))
    .sort()
    .flatMap(name =>
      parseAllDocuments(readFileSync(join(dir, name), 'utf8')).map(document => document.toJS() as Manifest),
    )
    .filter(object => object?.apiVersion?.startsWith('sallyport.dev/'))
}

/** File name of an object in a directory that the file provider reads. */
export const manifestFile = ({ kind, metadata }: Pick<Manifest, 'kind' | 'metadata'>): string =>
  `${kind.toLowerCase()}-${metadata.name}.yaml`

export function writeManifest(dir: string, object: Manifest): void {
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, manifestFile(object)), stringify(object))
}

/** JSON merge patch (RFC 7396). */
function merge(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {}
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name]
    else result[name] = merge(result[name], value)
  }
  return result
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
