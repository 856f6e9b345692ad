import { KubeConfig } from '@kubernetes/client-node'
import type { Log } from '@sallyport/runtime'
import { crdOf, KINDS } from '@sallyport/schema'
import { Kube } from './kube.ts'

/** Field manager of the definitions: Helm, which applies them too at an installation, meets its own fields and no conflict. */
const MANAGER = 'helm'

/** Brings the CustomResourceDefinitions of a cluster to this version, whoever has written them before. Throws ProviderError. */
export async function applyCrds(config: KubeConfig, log: Log): Promise<void> {
  const kube = new Kube(config, () => undefined)
  for (const kind of KINDS) {
    const definition = crdOf(kind)
    await kube.apply(definition, MANAGER)
    log.info({ definition: definition.metadata.name }, 'applied')
  }
}

/** The cluster that kubectl would use, else the one that the pod runs in. */
export function defaultCluster(): KubeConfig {
  const config = new KubeConfig()
  config.loadFromDefault()
  return config
}
