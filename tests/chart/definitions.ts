/** The CustomResourceDefinitions of others that the chart's objects are of, from the modules of their projects. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Files of each module. */
const FILES: Record<string, string[]> = {
  'github.com/cert-manager/cert-manager': ['deploy/crds/cert-manager.io_certificates.yaml'],
  'github.com/prometheus-operator/prometheus-operator': ['servicemonitors', 'podmonitors', 'prometheusrules'].map(
    name => `example/prometheus-operator-crd/monitoring.coreos.com_${name}.yaml`,
  ),
  'sigs.k8s.io/gateway-api': ['httproutes', 'tlsroutes', 'backendtlspolicies'].map(
    name => `config/crd/standard/gateway.networking.k8s.io_${name}.yaml`,
  ),
}
const TIMEOUT_MS = 300_000

/** Paths of the files, fetched where they are not yet here. */
export async function definitionsOfOthers(): Promise<string[]> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', ...Object.keys(FILES)], {
    cwd: join(import.meta.dirname, 'definitions'),
    timeout: TIMEOUT_MS,
  })
  // One JSON object after the other.
  const modules: { Path: string; Dir: string }[] = JSON.parse(`[${stdout.trim().replaceAll(/\}\s*\{/g, '},{')}]`)
  return modules.flatMap(({ Path, Dir }) => FILES[Path]!.map(file => join(Dir, file)))
}
