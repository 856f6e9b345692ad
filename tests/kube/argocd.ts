import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Cluster } from './cluster.ts'

const root = join(import.meta.dirname, '../..')
const BUILD_MS = 300_000

/** What Argo CD shows of an object. */
export type Health = { status: string; message: string }

/** Promises that need modules of Argo CD and Flux. Skipped aloud where there is no Go; with CI=true that fails. */
export function itArgoCd(name: string, timeout: number, body: (argoCd: ArgoCd) => Promise<void>): void {
  const { status, stdout, stderr } = spawnSync(join(root, 'hack/lua/build'), { encoding: 'utf8', timeout: BUILD_MS })
  const hasGo = spawnSync('go', ['version']).status === 0
  if (status === 0 && hasGo) {
    it(name, { timeout }, () => body(new ArgoCd(stdout.trim())))
    return
  }
  const reason = hasGo ? stderr.trim() : 'Go is missing (https://go.dev/dl)'
  if (process.env.CI === 'true') it(name, () => expect.fail(`no Argo CD: ${reason}`))
  else it.skip(`${name} (${reason})`)
  console.warn(`SKIPPED: ${name}: ${reason}`)
}

/** Health checks as Argo CD runs them. */
export class ArgoCd {
  readonly #interpreter: string

  constructor(interpreter: string) {
    this.#interpreter = interpreter
  }

  /** Puts the health checks where they belong, beside what `before` has there; gives the entries of Argo CD's ConfigMap. */
  async install({ kube }: Cluster, before: Record<string, string>): Promise<Record<string, string>> {
    await kube(['create', 'namespace', 'argocd'])
    const metadata = { name: 'argocd-cm', namespace: 'argocd' }
    await kube(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: before }))
    const patch = await kube(['kustomize', join(root, 'docs/operations/argocd')])
    await kube(['patch', 'configmap', 'argocd-cm', '-n', 'argocd', '--patch', patch])
    return JSON.parse(await kube(['get', 'configmap', 'argocd-cm', '-n', 'argocd', '-o', 'json'])).data
  }

  /** What the health check makes of each object. */
  judge(script: string, objects: object[]): Health[] {
    const dir = mkdtempSync(join(tmpdir(), 'sallyport-lua-'))
    try {
      const file = join(dir, 'health.lua')
      writeFileSync(file, script)
      const input = objects.map(object => JSON.stringify(object)).join('\n')
      const { status, stdout, stderr } = spawnSync(this.#interpreter, [file], { input, encoding: 'utf8' })
      if (status !== 0) throw new Error(stderr)
      return stdout
        .trim()
        .split('\n')
        .map(line => JSON.parse(line))
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  }
}
