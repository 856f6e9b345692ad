import { KubeConfig, Watch } from '@kubernetes/client-node'
import { writeSecretDirectory } from '../../operator/src/file/secret-directory.ts'
import { NAMESPACE } from './installation.ts'

type SecretEvent = {
  metadata: { name: string; resourceVersion: string; annotations?: Record<string, string> }
  data?: Record<string, string>
}

/** Time before a watch that has ended begins again. */
const RETRY_MS = 200

/** Does what a kubelet does with Secrets: brings each change into the directories at which they are mounted. Remembers what it has seen. */
export class Kubelet {
  readonly #watch: Watch
  readonly #mounts = new Map<string, string>()
  readonly #seen = new Map<string, Set<string>>()
  #writing: Promise<void> = Promise.resolve()
  #request: AbortController | undefined
  #closed = false

  constructor(kubeconfig: string) {
    const config = new KubeConfig()
    config.loadFromFile(kubeconfig)
    this.#watch = new Watch(config)
    void this.#follow()
  }

  /** Keeps `directory` as Secret `name` is. */
  mount(name: string, directory: string): void {
    this.#mounts.set(name, directory)
  }

  /** Different contents that an entry of a Secret has had so far, in order. */
  seen(name: string, entry: string): string[] {
    return [...(this.#seen.get(`${name}/${entry}`) ?? [])]
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#request?.abort()
    await this.#writing
  }

  /** Without a version to begin from, a watch tells of everything that is there first. */
  async #follow(): Promise<void> {
    const again = () => {
      if (!this.#closed) setTimeout(() => void this.#follow(), RETRY_MS)
    }
    const path = `/api/v1/namespaces/${NAMESPACE}/secrets`
    this.#request = await this.#watch.watch(path, {}, (type, secret) => this.#changed(type, secret), again)
    if (this.#closed) this.#request.abort()
  }

  #changed(type: string, { metadata, data = {} }: SecretEvent): void {
    if (type !== 'ADDED' && type !== 'MODIFIED') return
    const entries = Object.entries(data).map(([name, text]): [string, Buffer] => [name, Buffer.from(text, 'base64')])
    for (const [entry, bytes] of entries) {
      const key = `${metadata.name}/${entry}`
      this.#seen.set(key, (this.#seen.get(key) ?? new Set()).add(bytes.toString()))
    }
    const directory = this.#mounts.get(metadata.name)
    if (directory === undefined) return
    this.#writing = this.#writing.then(() =>
      writeSecretDirectory(directory, Object.fromEntries(entries), metadata.resourceVersion),
    )
  }
}
