/** The chart as plain manifests, by the commands of docs/operations/install.md: works the same, and reads back as it was applied. */
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ADA, eventually } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { kube, kubectl, run } from './cluster.ts'
import { LONG_MS, NAMESPACE, OFFICE, type Person, RELEASE, Release, WEB } from './release.ts'

const root = join(import.meta.dirname, '../..')
const SIDES: [string, string[]][] = [
  ['server-side', ['--server-side']],
  ['client-side', []],
]

describe.each(SIDES)('the rendered chart by %s apply', (_, how) => {
  let release: Release
  let manifests: { rendered: string; quickstart: string }
  let ada: Person
  /** Waits until nothing differs: kubectl reads twice, and a status may change in between. */
  const agrees = (manifest: string) =>
    eventually('nothing to differ', async () => {
      expect(await kubectl(['diff', ...how, '-f', '-'], manifest)).toEqual({ code: 0, stdout: '', stderr: '' })
      return true
    })
  /** What a write changes. Where a status has a version of its own it does not count: it changes meanwhile. */
  const versions = async () => {
    const read = (manifest: string) => kube(['get', '-f', '-', '-o', 'json'], manifest)
    const lists = await Promise.all(Object.values(manifests).map(read))
    const objects = lists.flatMap(text => (JSON.parse(text) as { items: Versioned[] }).items)
    return Object.fromEntries(
      objects.map(({ kind, metadata: { resourceVersion, ...metadata } }) => [
        `${kind} ${metadata.namespace ?? ''}/${metadata.name}`,
        metadata.generation === undefined ? { resourceVersion } : metadata,
      ]),
    )
  }

  beforeAll(async () => {
    release = new Release()
    await release.prepare()
    // As on an empty cluster: who has applied a CRD first decides how it is applied best.
    await kube(['delete', '-f', join(root, 'charts/sallyport/crds'), '--ignore-not-found'])
    symlinkSync(join(root, 'charts'), join(release.work, 'charts'))
    writeFileSync(join(release.work, 'values.yaml'), JSON.stringify(valuesOf(release)))
  })
  afterAll(() => release.close(), LONG_MS)

  it('is applied as it is written down, and leaves nothing to differ', { timeout: LONG_MS }, async () => {
    const script = `set -e; cd ${release.work}\n${written('install.md', 'Without Helm')}`
    const said = await run('sh', ['-c', how.length > 0 ? script : script.replaceAll('--server-side ', '')])
    expect(said).toMatchObject({ code: 0, stderr: '' })
    manifests = {
      rendered: readFileSync(join(release.work, 'sallyport.yaml'), 'utf8'),
      quickstart: await release.quickstart(),
    }
    expect(manifests.rendered).not.toContain('helm.sh/hook')
    await agrees(manifests.rendered)
  })

  it('lets her reach a Service whom a Group names, and no port beside it', { timeout: LONG_MS }, async () => {
    await release.started()
    expect(await kubectl(['apply', ...how, '-f', '-'], manifests.quickstart)).toMatchObject({ code: 0, stderr: '' })
    await agrees(manifests.quickstart)
    await release.ready()
    ada = await release.person(ADA)
    expect(await ada.get(WEB.host, WEB.port)).toBe(WEB.says)
    await expect(ada.get(WEB.host, WEB.port + 1)).rejects.toThrow('SOCKS reply 2')
  })

  it('leaves nothing to differ at rest, and a second apply writes nothing', { timeout: LONG_MS }, async () => {
    for (const [name, namespace] of deployments) {
      await kube(['rollout', 'status', `deployment/${name}`, '-n', namespace, '--timeout=300s'])
    }
    await release.settled(2)
    for (const manifest of Object.values(manifests)) await agrees(manifest)
    const before = await versions()
    expect(Object.keys(before)).toContain(`Relay ${NAMESPACE}/${RELEASE}-relay`)
    for (const manifest of Object.values(manifests)) {
      expect(await kubectl(['apply', ...how, '-f', '-'], manifest)).toMatchObject({ code: 0, stderr: '' })
    }
    expect(await versions()).toEqual(before)
    expect(await ada.get(WEB.host, WEB.port)).toBe(WEB.says)
  })

  it('goes as it is written down, but for the database and all that is declared', { timeout: LONG_MS }, async () => {
    const kept = ['pvc', 'connectors,resources,groups', 'deployments', 'crds']
    const names = async (kinds: string) =>
      (await kube(['get', kinds, '-n', NAMESPACE, '-o', 'name'])).trim().split('\n')
    const before = await Promise.all(kept.map(names))
    const script = `set -e; cd ${release.work}\n${written('uninstall.md', 'Not by Helm')}`
    expect(await run('sh', ['-c', script])).toMatchObject({ code: 0, stderr: '' })
    const isOfRelease = (name: string) => name.includes(`/${RELEASE}-`) && !name.startsWith('persistentvolumeclaim/')
    const expected = before.map(list => list.filter(name => !isOfRelease(name)))
    expect(expected[0]).toEqual([`persistentvolumeclaim/${RELEASE}-controller`])
    // What the Relay of the release owns goes after it.
    await eventually('the rest to go', async () => {
      expect(await Promise.all(kept.map(names))).toEqual(expected)
      return true
    })
    expect(await kubectl(['get', `clusterrole/${NAMESPACE}:${RELEASE}-operator`])).toMatchObject({ code: 1 })
  })
})

type Versioned = {
  kind: string
  metadata: { name: string; namespace?: string; generation?: number; resourceVersion: string }
}

const deployments = [
  [`${RELEASE}-operator`, NAMESPACE],
  [`${RELEASE}-controller`, NAMESPACE],
  ['web', OFFICE],
  ['tcp', OFFICE],
] as const

/** The commands that a page gives first under a heading. */
function written(page: string, heading: string): string {
  const text = readFileSync(join(root, 'docs/operations', page), 'utf8')
  const [, below = ''] = text.split(`\n## ${heading}\n`)
  return /```\n([\s\S]*?)```/.exec(below)![1]!
}

/** One file of values, as the page has it: the try-out's, and what no example can know. */
function valuesOf(release: Release): object {
  const tryout = parse(readFileSync(join(root, 'examples/values-tryout.yaml'), 'utf8'))
  const { images, controller } = JSON.parse(release.values())
  return { ...tryout, images, controller: { ...tryout.controller, ...controller } }
}
