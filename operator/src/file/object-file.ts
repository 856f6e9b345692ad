import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadAllYaml } from '@kubernetes/client-node'
import { API_VERSION, isKind, type Kind, type Manifest, type Problem, validateObject } from '@sallyport/schema'

/** An object as it stands in a file, and what is wrong with it. */
export type FileObject = { manifest: Manifest; problems: Problem[]; file: string }
/** A file, or a document in it, that is no object of ours. */
export type FileProblem = { file: string; message: string }

/** Most bytes of one file, and most files, that are read. */
const MAX_FILE_BYTES = 4 * 1024 * 1024
const MAX_FILES = 10_000

/** Remembers what each file held, so that one that is being written does not take its objects away. */
export type FileMemory = Map<string, FileObject[]>

/** Reads the objects of a directory and its subdirectories. Throws when the directory itself cannot be read. */
export function readObjects(
  directory: string,
  namespace: string,
  memory: FileMemory,
): { objects: FileObject[]; problems: FileProblem[] } {
  const files = yamlFiles(directory)
  const problems: FileProblem[] = []
  for (const known of memory.keys()) if (!files.includes(known)) memory.delete(known)
  for (const file of files) {
    try {
      const text = readFileSync(join(directory, file), 'utf8')
      if (text.length > MAX_FILE_BYTES) throw new Error(`is larger than ${MAX_FILE_BYTES} bytes`)
      memory.set(file, documentsOf(text, file, namespace, problems))
    } catch (error) {
      problems.push({ file, message: error instanceof Error ? error.message : String(error) })
    }
  }
  return { objects: withoutTwins([...memory.values()].flat(), problems), problems }
}

function yamlFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter(name => /\.(ya?ml|json)$/.test(name) && !name.split('/').some(part => part.startsWith('.')))
    .sort()
    .slice(0, MAX_FILES)
}

function documentsOf(text: string, file: string, namespace: string, problems: FileProblem[]): FileObject[] {
  return loadAllYaml(text).flatMap((document: unknown) => {
    if (!isObject(document)) return []
    const { apiVersion, kind, metadata } = document
    if (apiVersion !== API_VERSION || !isKind(kind)) {
      // Kustomizations and the like may stand beside.
      if (String(apiVersion).startsWith('sallyport.dev/')) {
        problems.push({ file, message: `"${String(apiVersion)}, ${String(kind)}" is no kind that is known` })
      }
      return []
    }
    if (!isObject(metadata) || typeof metadata.name !== 'string') {
      problems.push({ file, message: `a ${kind} has no metadata.name` })
      return []
    }
    const { status: _, ...rest } = document
    const placed = { ...rest, metadata: { namespace, ...metadata } }
    // What is wrong with it is told beside it; whoever uses an object asks for that first.
    return [{ manifest: placed as Manifest, problems: validateObject(kind as Kind, placed), file }]
  })
}

function withoutTwins(objects: FileObject[], problems: FileProblem[]): FileObject[] {
  const seen = new Map<string, string>()
  return objects.filter(({ manifest: { kind, metadata }, file }) => {
    const name = `${kind} ${metadata.namespace}/${metadata.name}`
    const first = seen.get(name)
    if (first === undefined) seen.set(name, file)
    else problems.push({ file, message: `${name} is declared in ${first} already` })
    return first === undefined
  })
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
