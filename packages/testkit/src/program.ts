import { join } from 'node:path'

const root = join(import.meta.dirname, '../../..')
const SOURCES = {
  controller: 'images/controller/src/main.ts',
  relay: 'images/relay/src/main.ts',
  connector: 'images/connector/src/main.ts',
  operator: 'operator/src/main.ts',
  sallyport: 'client/src/main.ts',
}

/** What a person, a container or the operator starts. */
export type Program = keyof typeof SOURCES
export const PROGRAMS = Object.keys(SOURCES) as Program[]

/** File that Node runs for `program`: its bundle in `bundles`, a directory that hack/bundle.ts has filled, else its source. */
export function programFile(program: Program, bundles?: string): string {
  return bundles === undefined ? join(root, SOURCES[program]) : join(bundles, `${program}.mjs`)
}
