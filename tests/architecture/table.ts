/** Which package may import what, and why: the one dependency rule of docs/architecture.md. */
export type PackageRule = {
  /** Folder from the root of the project. */
  folder: string
  /** Own packages that it may import. */
  own: string[]
  /** Packages of others that it may import; `name/*` covers a scope. */
  thirdParty: string[]
  /** Modules of Node that it may import: all, none, or these. */
  node: 'all' | 'none' | string[]
  reason: string
}

const SHELL = ['wire', 'schema', 'policy', 'trust', 'runtime']

export const PACKAGES: Record<string, PackageRule> = {
  wire: {
    folder: 'packages/wire',
    own: [],
    thirdParty: [],
    node: 'none',
    reason:
      'the protocol is a pure state machine: bytes and time in, bytes and events out, so that it can be fuzzed and run anywhere',
  },
  schema: {
    folder: 'packages/schema',
    own: [],
    thirdParty: ['typebox'],
    node: 'none',
    reason: 'what crosses a boundary is described once, and everyone can read it without pulling in anything else',
  },
  policy: {
    folder: 'packages/policy',
    own: ['schema'],
    thirdParty: [],
    node: ['node:crypto'],
    reason: 'who may reach what is decided by pure functions; the only import is the hash of a rule digest',
  },
  trust: {
    folder: 'packages/trust',
    own: ['wire', 'schema'],
    thirdParty: ['jose', 'node-forge'],
    node: ['node:crypto'],
    reason:
      'keys, certificates and tokens need no network and no disk, and cryptography from others lives in one place',
  },
  runtime: {
    folder: 'packages/runtime',
    own: ['wire', 'schema', 'trust'],
    thirdParty: ['ws', 'pino', 'prom-client'],
    node: 'all',
    reason: 'the edges to Node that every process shares; a shell never talks to ws, pino or prom-client itself',
  },
  controller: {
    folder: 'images/controller',
    own: SHELL,
    thirdParty: ['fastify', '@fastify/*', 'kysely', 'pg', 'openid-client', 'oidc-provider'],
    node: 'all',
    reason: 'the only process with a database and an HTTP API',
  },
  relay: {
    folder: 'images/relay',
    own: SHELL,
    thirdParty: [],
    node: 'all',
    reason: 'a splice needs nobody: less code that strangers can reach',
  },
  connector: {
    folder: 'images/connector',
    own: SHELL,
    thirdParty: ['koffi'],
    node: 'all',
    reason: 'it stands inside the private network: as little foreign code as can be',
  },
  client: {
    folder: 'client',
    own: SHELL,
    thirdParty: ['commander', 'dns-packet', 'koffi'],
    node: 'all',
    reason: 'runs on people’s devices and starts many times a day',
  },
  operator: {
    folder: 'operator',
    own: SHELL,
    thirdParty: ['@kubernetes/client-node', '@dot-i/k8s-operator'],
    node: 'all',
    reason: 'the only process that speaks to a Kubernetes API server',
  },
}

/** They may import everything, and nothing outside of them imports them. */
export const FREE_FOLDERS = ['packages/testkit', 'tests', 'hack']
/** What tests beside the code may import besides. */
export const TEST_PACKAGES = ['vitest', 'fast-check', 'playwright-core', 'yaml', 'dns-packet']
