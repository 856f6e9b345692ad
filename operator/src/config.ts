import {
  ConfigError,
  configFromValue,
  type HostPort,
  type LogLevel,
  type ProxySettings,
  proxyFromEnvironment,
  requireHostPort,
} from '@sallyport/runtime'
import { OperatorConfigSchema } from '@sallyport/schema'

/** Where the operator's objects come from. */
export type ProviderConfig =
  | {
      kind: 'kubernetes'
      kubeconfig?: string
      tokenFile: string
      leaderElection: boolean
      leaseSeconds: number
      staleSeconds: number
    }
  | {
      kind: 'file'
      directory: string
      stateDirectory: string
      connectorCommand?: string[]
      relayCommand?: string[]
      tokenIssuer: string
      tokenSubject: string
    }

/** What the operator runs with. */
export type OperatorConfig = {
  provider: ProviderConfig
  /** Name of the installation; names of its own objects begin with it. */
  release: string
  controller: {
    url: string
    /** Undefined: derived. */
    publicUrl?: string
    pinsLogin: boolean
    /** Service of its own namespace from which the public URL is derived. */
    service?: string
    names: string[]
    caFile?: string
    audience: string
  }
  certificates: { issuer: 'operator' | 'provided' | 'external'; caSeconds: number; certificateSeconds: number }
  namespace: string
  managedNamespaces: string[]
  /** Undefined: all. */
  watchNamespaces: string[] | undefined
  clusterDomain: string
  connectorImage: string
  relayImage: string
  imagePullSecrets: string[]
  connectorResolver?: string
  resyncSeconds: number
  removalWaitSeconds: number
  metricsListen: HostPort
  logLevel: LogLevel
  proxy: ProxySettings
  /** What the processes that it starts get of its own environment. */
  inherited: Record<string, string>
}

type Problems = { field: string; message: string }[]
const INHERITED = ['PATH', 'HOME', 'TMPDIR', 'HTTPS_PROXY', 'NO_PROXY', 'NODE_EXTRA_CA_CERTS']
const PREFIX = 'SALLYPORT_'

/** Reads flags and environment; flags go first. Throws ConfigError with all problems. */
export function readConfig(
  args: readonly string[] = process.argv.slice(2),
  environment: NodeJS.ProcessEnv = process.env,
): OperatorConfig {
  const problems: Problems = []
  const given = { ...fromEnvironment(environment), ...fromFlags(args, problems) }
  if (problems.length > 0) throw new ConfigError('arguments', problems)
  const values = configFromValue(OperatorConfigSchema, given, 'flags and environment')
  const inherited = Object.fromEntries(
    INHERITED.flatMap(name => (environment[name] ? [[name, environment[name]]] : [])),
  )
  return { ...settings(values), proxy: proxyFromEnvironment(environment), inherited }
}

function settings(values: OperatorConfigSchema): Omit<OperatorConfig, 'proxy' | 'inherited'> {
  const { SALLYPORT_CONTROLLER_URL: url, SALLYPORT_CONTROLLER_CA_FILE: caFile } = values
  const publicUrl = values.SALLYPORT_CONTROLLER_PUBLIC_URL?.replace(/\/+$/, '')
  const service = values.SALLYPORT_CONTROLLER_SERVICE
  const managed = values.SALLYPORT_MANAGED_NAMESPACES
  const watched = values.SALLYPORT_WATCH_NAMESPACES
  const resolver = values.SALLYPORT_CONNECTOR_RESOLVER
  if (values.SALLYPORT_CERTIFICATE_SECONDS > values.SALLYPORT_CA_SECONDS / 2) {
    const message = 'must be at most half of SALLYPORT_CA_SECONDS: a certificate does not outlive its CA'
    throw new ConfigError('flags and environment', [{ field: 'SALLYPORT_CERTIFICATE_SECONDS', message }])
  }
  return {
    provider: providerOf(values),
    release: values.SALLYPORT_RELEASE,
    controller: {
      url: url.replace(/\/+$/, ''),
      ...(publicUrl === undefined ? {} : { publicUrl }),
      pinsLogin: values.SALLYPORT_LOGIN_PIN,
      ...(service === undefined ? {} : { service }),
      names: list(values.SALLYPORT_CONTROLLER_NAMES),
      ...(caFile === undefined ? {} : { caFile }),
      audience: values.SALLYPORT_CONTROLLER_AUDIENCE ?? publicUrl ?? url.replace(/\/+$/, ''),
    },
    certificates: {
      issuer: values.SALLYPORT_CERTIFICATES,
      caSeconds: values.SALLYPORT_CA_SECONDS,
      certificateSeconds: values.SALLYPORT_CERTIFICATE_SECONDS,
    },
    namespace: values.SALLYPORT_NAMESPACE,
    managedNamespaces: managed === undefined ? [values.SALLYPORT_NAMESPACE] : list(managed),
    watchNamespaces: watched === undefined ? undefined : list(watched),
    clusterDomain: values.SALLYPORT_CLUSTER_DOMAIN,
    connectorImage: values.SALLYPORT_CONNECTOR_IMAGE,
    relayImage: values.SALLYPORT_RELAY_IMAGE,
    imagePullSecrets: list(values.SALLYPORT_IMAGE_PULL_SECRETS),
    ...(resolver === undefined ? {} : { connectorResolver: resolver }),
    resyncSeconds: values.SALLYPORT_RESYNC_SECONDS,
    removalWaitSeconds: values.SALLYPORT_REMOVAL_WAIT_SECONDS,
    metricsListen: requireHostPort(values.SALLYPORT_METRICS_LISTEN),
    logLevel: values.SALLYPORT_LOG_LEVEL,
  }
}

function providerOf(values: OperatorConfigSchema): ProviderConfig {
  const { SALLYPORT_DIR: directory, SALLYPORT_STATE_DIR: stateDirectory } = values
  if (values.SALLYPORT_PROVIDER === 'kubernetes') {
    const kubeconfig = values.SALLYPORT_KUBECONFIG
    return {
      kind: 'kubernetes',
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
      tokenFile: values.SALLYPORT_TOKEN_FILE,
      leaderElection: values.SALLYPORT_LEADER_ELECTION,
      leaseSeconds: values.SALLYPORT_LEASE_SECONDS,
      staleSeconds: values.SALLYPORT_STALE_SECONDS,
    }
  }
  if (directory === undefined || stateDirectory === undefined) {
    const missing = Object.entries({ SALLYPORT_DIR: directory, SALLYPORT_STATE_DIR: stateDirectory })
    const problems = missing.filter(([, value]) => value === undefined)
    throw new ConfigError(
      'flags and environment',
      problems.map(([field]) => ({ field, message: 'is missing; provider file needs it' })),
    )
  }
  const [connector, relay] = [values.SALLYPORT_CONNECTOR_COMMAND, values.SALLYPORT_RELAY_COMMAND]
  return {
    kind: 'file',
    directory,
    stateDirectory,
    ...(connector === undefined ? {} : { connectorCommand: words(connector) }),
    ...(relay === undefined ? {} : { relayCommand: words(relay) }),
    tokenIssuer: values.SALLYPORT_TOKEN_ISSUER,
    tokenSubject: values.SALLYPORT_TOKEN_SUBJECT,
  }
}

function fromEnvironment(environment: NodeJS.ProcessEnv): Record<string, unknown> {
  const known = Object.keys(OperatorConfigSchema.properties).filter(name => (environment[name] ?? '') !== '')
  return Object.fromEntries(known.map(name => [name, typed(name, environment[name]!)]))
}

/** `--state-dir=x` and `--state-dir x` are SALLYPORT_STATE_DIR. */
function fromFlags(args: readonly string[], problems: Problems): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  const rest = [...args]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, flag, inline] = /^--([a-z-]+)(?:=(.*))?$/.exec(word) ?? []
    const name = PREFIX + (flag ?? '').replaceAll('-', '_').toUpperCase()
    const value = inline ?? rest.shift()
    if (!(name in OperatorConfigSchema.properties)) problems.push({ field: word, message: 'is not a known flag' })
    else if (value === undefined) problems.push({ field: word, message: 'needs a value' })
    else values[name] = typed(name, value)
  }
  return values
}

function typed(name: string, text: string): unknown {
  const { type } = OperatorConfigSchema.properties[name as keyof typeof OperatorConfigSchema.properties] as {
    type?: string
  }
  if (type === 'integer' && /^[0-9]+$/.test(text)) return Number(text)
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return text
}

const list = (text = ''): string[] => text.split(',').filter(part => part !== '')
const words = (text: string): string[] => text.split(' ').filter(part => part !== '')
