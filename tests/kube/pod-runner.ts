import { eventually, type Run } from '@sallyport/testkit'
import { type KubeInstallation, type Live, NAMESPACE } from './installation.ts'

/** Time between two looks at the pods. */
const LOOK_MS = 250
/** Images of this name never start, as one that cannot be pulled. */
const BROKEN = 'broken'
const [CONNECTOR_LABEL, RELAY_LABEL] = ['sallyport.dev/connector', 'sallyport.dev/relay']

/** A pod of the operator's, with its Deployment. */
export type Pod = { uid: string; name: string; deployment: string; image: string }
type PodObject = Live & {
  metadata: { labels: Record<string, string>; deletionTimestamp?: string }
  spec: { containers: { image: string }[] }
}
type Entry = { pod: Pod; process: Promise<Run> | undefined; ready: boolean }

/**
 * Does for the operator's pods what a kubelet would: each is a process, its Secret mounted when it starts and never refreshed, ready when the process
 * says so, ended when the pod goes.
 */
export class PodRunner {
  readonly #installation: KubeInstallation
  readonly #addresses: Record<string, string>
  readonly #entries = new Map<string, Entry>()
  readonly #closing = new Map<string, Promise<unknown>>()
  /** Names of Deployments whose new pods are not started. */
  readonly held = new Set<string>()
  /** Ends the processes of pods that go with SIGKILL. */
  force = false
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()
  #failure: unknown

  /** `addresses` are where the Relays are dialled, by the names of their Deployments. */
  constructor(installation: KubeInstallation, addresses: Record<string, string>) {
    this.#installation = installation
    this.#addresses = addresses
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#looking = this.#look().then(
        () => this.start(),
        error => {
          this.#failure = error
        },
      )
    }, LOOK_MS)
  }

  /** Pods that are ready. */
  ready(): Pod[] {
    if (this.#failure !== undefined) throw this.#failure
    return [...this.#entries.values()].filter(({ ready }) => ready).map(({ pod }) => pod)
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.force = true
    await this.#looking
    for (const uid of [...this.#entries.keys()]) this.#end(uid)
    await Promise.all(this.#closing.values())
  }

  async #look(): Promise<void> {
    const pods = (await this.#installation.list('Pod')) as PodObject[]
    const living = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    for (const uid of [...this.#entries.keys()]) {
      if (!living.some(({ metadata }) => metadata.uid === uid)) this.#end(uid)
    }
    for (const { metadata, spec } of living) {
      const entry = this.#entries.get(metadata.uid) ?? this.#enter(metadata, spec.containers[0]!.image)
      if (entry.process === undefined && this.#canStart(entry.pod)) entry.process = this.#run(entry)
    }
  }

  #enter({ uid, name, labels }: PodObject['metadata'], image: string): Entry {
    const index = labels['sallyport.dev/index']
    const deployment = labels[CONNECTOR_LABEL] ?? `${labels[RELAY_LABEL]}-${index}`
    const entry: Entry = { pod: { uid, name, deployment, image }, process: undefined, ready: false }
    this.#entries.set(uid, entry)
    return entry
  }

  #canStart({ deployment, image }: Pod): boolean {
    return !image.startsWith(BROKEN) && !this.held.has(deployment)
  }

  async #run(entry: Entry): Promise<Run> {
    const { uid, deployment } = entry.pod
    const address = this.#addresses[deployment]
    // A pod has an address of its own; here the former one has to leave it first.
    if (address !== undefined) await this.#closing.get(deployment)
    const process =
      address === undefined
        ? await this.#installation.startConnector(deployment, uid, { SALLYPORT_DRAIN_SECONDS: '2' })
        : await this.#installation.startRelay(deployment, address)
    void this.#watch(entry, process).catch(error => {
      if (this.#entries.has(uid)) this.#failure = error
    })
    return process
  }

  /** Says of the pod that it is ready as soon as its readiness probe does. */
  async #watch(entry: Entry, process: Run): Promise<void> {
    const { metrics, metricsAddress } = JSON.parse(await process.line(/Connector started|Relay listens/))
    await eventually(
      `${entry.pod.name} to be ready`,
      () =>
        this.#entries.has(entry.pod.uid)
          ? fetch(`http://${metrics ?? metricsAddress}/readyz`).then(
              ({ ok }) => ok,
              () => false,
            )
          : true,
      { timeoutMs: 120_000 },
    )
    if (!this.#entries.has(entry.pod.uid)) return
    const since = new Date().toISOString()
    const conditions = ['ContainersReady', 'Ready'].map(type => ({ type, status: 'True', lastTransitionTime: since }))
    const args = ['patch', 'pod', entry.pod.name, '-n', NAMESPACE, '--subresource=status']
    const { code, stderr } = await this.#installation.cluster.kubectl([
      ...args,
      '-p',
      JSON.stringify({ status: { phase: 'Running', conditions } }),
    ])
    if (code !== 0 && this.#entries.has(entry.pod.uid)) throw new Error(stderr)
    entry.ready = code === 0
  }

  #end(uid: string): void {
    const { pod, process } = this.#entries.get(uid)!
    this.#entries.delete(uid)
    const signal = this.force ? 'SIGKILL' : 'SIGTERM'
    this.#closing.set(pod.deployment, Promise.resolve(process?.then(run => run.stop(signal))))
  }
}
