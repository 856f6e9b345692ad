import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { canonicalJson } from '@sallyport/schema'
import { COMPONENT_LABEL, type KubeObject } from '../object.ts'
import type { ProcessSpec } from './process.ts'

export type Commands = { connector: string[]; relay: string[] }
export type Folders = { secrets: string; volumes: string }

/** What every process gets of the operator's own environment. */
export type Inherited = Record<string, string>

type Container = {
  name: string
  env?: { name: string; value: string }[]
  volumeMounts?: { name: string; mountPath: string }[]
}
type Volume = { name: string; secret?: { secretName: string }; emptyDir?: object }
type DeploymentFields = {
  spec: { template: { spec: { terminationGracePeriodSeconds: number; containers: Container[]; volumes: Volume[] } } }
}

/** Reads a Deployment as a process of this machine: its volumes are directories, its metrics a port of loopback. */
export function processOf(
  deployment: KubeObject,
  commands: Commands,
  folders: Folders,
  inherited: Inherited,
): { spec: ProcessSpec; secret: string | undefined } {
  const { name, namespace = '', labels } = deployment.metadata
  // The operator's own plans have made it.
  const { terminationGracePeriodSeconds, containers, volumes } = (deployment as unknown as DeploymentFields).spec
    .template.spec
  const { env = [], volumeMounts = [] } = containers[0]!
  const paths = new Map(
    volumeMounts.map(({ name: volume, mountPath }) => {
      const source = volumes.find(one => one.name === volume)
      const secret = source?.secret?.secretName
      const path =
        secret === undefined ? join(folders.volumes, namespace, name, volume) : join(folders.secrets, namespace, secret)
      return [mountPath, path]
    }),
  )
  const environment: Record<string, string> = { ...inherited }
  for (const variable of env) {
    environment[variable.name] =
      variable.name === 'SALLYPORT_METRICS_LISTEN' ? '127.0.0.1:0' : (paths.get(variable.value) ?? variable.value)
  }
  const command = labels?.[COMPONENT_LABEL] === 'relay' ? commands.relay : commands.connector
  const digest = createHash('sha256').update(canonicalJson({ command, environment })).digest('base64url')
  return {
    spec: {
      name: `${namespace}-${name}`,
      command,
      environment,
      graceSeconds: terminationGracePeriodSeconds,
      digest,
    },
    secret: volumes.find(({ secret }) => secret !== undefined)?.secret?.secretName,
  }
}
