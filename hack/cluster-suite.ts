/** Runs tests/cluster in a cluster of its own: hack/kube's node, or hack/kind's. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ask, type Count, run, vitest } from './suite.ts'

const root = join(import.meta.dirname, '..')
const IMAGES = ['controller', 'relay', 'connector', 'operator']

/** Which scripts start the cluster. */
export type ClusterKind = 'kube' | 'kind'

/**
 * Starts a cluster, loads the images into it and runs `files` (all of tests/cluster when empty) beside it. Skipped aloud where there can be none;
 * with CI=true that fails.
 */
export function clusterSuite(kind: ClusterKind, files: string[] = []): Count {
  const scripts = join('hack', kind)
  const { ok: possible, text: reason } = ask(join(scripts, 'possible'), [])
  if (!possible) {
    console.log(`${process.env.CI === 'true' ? 'FAILED' : 'SKIPPED'}: tests/cluster on ${scripts}: ${reason}`)
    return process.env.CI === 'true' ? { passed: 0, failed: 1, skipped: 0 } : { passed: 0, failed: 0, skipped: 1 }
  }
  const work = mkdtempSync(join(tmpdir(), 'sallyport-cluster-'))
  const tag = process.env.TAG ?? JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version
  const env = {
    CLUSTER_DIR: join(work, 'cluster'),
    SALLYPORT_CLUSTER: kind,
    SALLYPORT_CLUSTER_NODES: process.env.NODES ?? '1',
    SALLYPORT_IMAGE_TAG: tag,
    // Docker's images are those of its own engine, which only an ordinary kind shares.
    ...(kind === 'kube' || reason !== 'docker' ? { BUILDER: 'buildah' } : {}),
  }
  try {
    const ready =
      run('node', ['hack/bundle.ts'], env) &&
      run('hack/images', [], env) &&
      run(join(scripts, 'up'), ['--nodes', env.SALLYPORT_CLUSTER_NODES], env) &&
      run(
        join(scripts, 'load-image'),
        IMAGES.map(name => `sallyport/${name}:${tag}`),
        env,
      )
    if (!ready) return { passed: 0, failed: 1, skipped: 0 }
    return vitest(['--config', 'tests/cluster/vitest.config.ts', ...files], { within: [join(scripts, 'exec')], env })
  } finally {
    run(join(scripts, 'down'), [], env)
    rmSync(work, { recursive: true, force: true })
  }
}
