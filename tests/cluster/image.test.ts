/** The images on a real node, under the restricted Pod Security Standard. */
import { eventually } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apply, find, image, kube, kubectl } from './cluster.ts'

const NAMESPACE = 'image-test'
const RESTRICTED = {
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
}
type Pod = { status: { containerStatuses?: { state: { terminated?: { exitCode: number } } }[] } }

/** Runs an image to its end; gives its exit code and what it has said. */
async function runPod(name: string, container: object): Promise<{ code: number; said: string }> {
  const spec = { restartPolicy: 'Never', containers: [{ name, securityContext: RESTRICTED, ...container }] }
  await apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: NAMESPACE }, spec })
  const read = async () => (await find<Pod>('pod', name, NAMESPACE))?.status.containerStatuses?.[0]?.state.terminated
  const { exitCode } = await eventually(`pod ${name} to end`, read, { timeoutMs: 120_000, everyMs: 500 })
  return { code: exitCode, said: await kube(['logs', name, '-n', NAMESPACE]) }
}

describe('an image on a node', () => {
  beforeAll(async () => {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
    await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels } })
    await kube(['wait', '--for=create', 'serviceaccount/default', '-n', NAMESPACE, '--timeout=60s'])
  })
  afterAll(() => kubectl(['delete', 'namespace', NAMESPACE, '--wait=false']))

  it.each([
    ['controller', '--config: is missing'],
    ['relay', 'SALLYPORT_RELAY_DIR: is missing'],
    ['connector', 'SALLYPORT_STATE_DIR: is missing'],
    ['operator', 'SALLYPORT_CONTROLLER_URL: is missing'],
  ] as const)(
    'of the %s starts without rights on a read-only root, and says what its configuration lacks',
    async (name, lack) => {
      const { code, said } = await runPod(name, { image: image(name) })
      expect(said).toContain(lack)
      expect(code).toBe(1)
    },
  )

  it('runs as user 65532 and cannot write to its root', async () => {
    const script = `console.log(process.getuid()); try { require('fs').writeFileSync('/app/x', '') } catch (e) { console.log(e.code) }`
    const { said } = await runPod('user', { image: image('relay'), command: ['node', '-e', script] })
    expect(said.split('\n')).toEqual(['65532', 'EROFS', ''])
  })
})
