/** The CustomResourceDefinitions of Argo CD and Flux, from the modules of their projects. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Files of each module. */
const FILES: Record<string, string[]> = {
  'github.com/argoproj/argo-cd/v3': ['manifests/crds/application-crd.yaml', 'manifests/crds/appproject-crd.yaml'],
  'github.com/fluxcd/helm-controller': ['config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml'],
  'github.com/fluxcd/kustomize-controller': ['config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml'],
  'github.com/fluxcd/source-controller': ['config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml'],
}
const TIMEOUT_MS = 300_000

/** Paths of the files, fetched where they are not yet here. */
export async function gitopsDefinitions(): Promise<string[]> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', ...Object.keys(FILES)], {
    cwd: join(import.meta.dirname, 'gitops'),
    timeout: TIMEOUT_MS,
  })
  // One JSON object after the other.
  const modules: { Path: string; Dir: string }[] = JSON.parse(`[${stdout.trim().replaceAll(/\}\s*\{/g, '},{')}]`)
  return modules.flatMap(({ Path, Dir }) => FILES[Path]!.map(file => join(Dir, file)))
}
