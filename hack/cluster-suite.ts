/** Runs tests/cluster in a cluster of its own: hack/kube's node, or hack/kind's. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ask, type Output, type Result, run, vitest } from './suite.ts'

const root = join(import.meta.dirname, '..')
const IMAGES = ['controller', 'relay', 'connector', 'operator']

/** Which scripts start the cluster. */
export type ClusterKind = 'kube' | 'kind'

/** An interrupt ends what runs, and then the clusters; no other is started. */
let interrupted = false

/** Whether the images have been built, by what builds them: once for all clusters of a run. */
const built = new Map<string, Promise<boolean>>()

/**
 * Starts a cluster, loads the images into it, runs tests/cluster beside it, or what vitest's arguments leave of it, and ends it, unless KEEP=1 says
 * otherwise. Skipped aloud where there can be none; with CI=true that fails.
 */
export async function clusterSuite(
  kind: ClusterKind,
  args: string[] = [],
  output: Output = 'inherit',
): Promise<Result> {
  const scripts = join('hack', kind)
  if (interrupted) return { passed: 0, failed: [`${scripts}: interrupted`], skipped: 0 }
  const { ok: possible, text } = ask(join(scripts, 'possible'), [])
  if (!possible) {
    const what = `tests/cluster on ${scripts}: ${text}`
    if (process.env.CI === 'true') return { passed: 0, failed: [what], skipped: 0 }
    console.log(`SKIPPED: ${what}`)
    return { passed: 0, failed: [], skipped: 1 }
  }
  const work = mkdtempSync(join(tmpdir(), 'sallyport-cluster-'))
  const tag = process.env.TAG ?? JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version
  const env = {
    CLUSTER_DIR: join(work, 'cluster'),
    SALLYPORT_CLUSTER: kind,
    SALLYPORT_CLUSTER_NODES: process.env.NODES ?? '1',
    SALLYPORT_IMAGE_TAG: tag,
    // Docker's images are those of its own engine, which only an ordinary kind shares.
    BUILDER: text === 'docker' ? 'docker' : 'buildah',
  }
  const interrupt = () => {
    interrupted = true
  }
  process.on('SIGINT', interrupt)
  try {
    if (!(await start(scripts, env, output)))
      return { passed: 0, failed: [`${scripts}: no cluster with the images`], skipped: 0 }
    const within = [join(scripts, 'exec')]
    return await vitest(['--config', 'tests/cluster/vitest.config.ts', ...args], { within, env, output })
  } finally {
    process.off('SIGINT', interrupt)
    if (process.env.KEEP === '1') {
      console.log(`kept: CLUSTER_DIR=${env.CLUSTER_DIR} ${join(scripts, 'exec')} kubectl get pods -A`)
    } else {
      await run(join(scripts, 'down'), [], { env, output })
      rmSync(work, { recursive: true, force: true })
    }
  }
}

type Environment = Record<'CLUSTER_DIR' | 'SALLYPORT_CLUSTER_NODES' | 'SALLYPORT_IMAGE_TAG' | 'BUILDER', string>

async function start(scripts: string, env: Environment, output: Output): Promise<boolean> {
  const { BUILDER: builder, SALLYPORT_IMAGE_TAG: tag, SALLYPORT_CLUSTER_NODES: nodes } = env
  const images = IMAGES.map(name => `sallyport/${name}:${tag}`)
  const building = built.get(builder) ?? build(tag, env, output)
  built.set(builder, building)
  return (
    (await building) &&
    (await run(join(scripts, 'up'), ['--nodes', nodes], { env, output })) &&
    (await run(join(scripts, 'load-image'), images, { env, output }))
  )
}

async function build(tag: string, env: Environment, output: Output): Promise<boolean> {
  return (
    (await run('node', ['hack/bundle.ts'], { output })) &&
    (await run('hack/images', [], { env: { ...env, TAG: tag }, output }))
  )
}
