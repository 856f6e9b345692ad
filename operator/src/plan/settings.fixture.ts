import { installationNames } from '../installation.ts'
import type { Settings } from './step.ts'

/** Settings of an operator for tests of plans. */
export function settingsOf(changes: Partial<Settings> = {}): Settings {
  return {
    namespace: 'sallyport',
    names: installationNames('sallyport'),
    managedNamespaces: ['sallyport'],
    clusterDomain: 'cluster.local',
    connectorImage: 'connector',
    relayImage: 'relay',
    imagePullSecrets: [],
    connectorResolver: undefined,
    controllerUrl: 'https://inside',
    controllerPublicUrl: 'https://outside',
    pinsLogin: true,
    controllerService: undefined,
    controllerCa: undefined,
    controllerNames: [],
    certificates: 'operator',
    platform: 'cluster',
    readsCluster: true,
    ...changes,
  }
}
