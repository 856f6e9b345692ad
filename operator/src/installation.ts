/** Names of what belongs to the installation itself, all in the operator's own namespace. */
export type InstallationNames = {
  /** Secret with the installation CA. */
  ca: string
  /** Secret with the Controller's serving certificate. */
  controllerTls: string
  /** Secret with the key that the Controller's store is encrypted with. */
  storeKey: string
  /** ConfigMap that says how people log in. */
  login: string
  /** Lease that replicas compete for. */
  lease: string
}

/** The names that follow from that of the release. */
export function installationNames(release: string): InstallationNames {
  return {
    ca: `${release}-ca`,
    controllerTls: `${release}-controller-tls`,
    storeKey: `${release}-store-key`,
    login: `${release}-login`,
    lease: `${release}-operator`,
  }
}
