/** From the chart's previous revision to this one and back again while people work: no new connection is refused. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ADA, eventually } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Document, parseDocument } from 'yaml'
import { buildImage, helm, image, kube } from './cluster.ts'
import { CHART, LONG_MS, NAMESPACE, type Person, type Pod, RELEASE, Release, WEB } from './release.ts'
import { Traffic } from './traffic.ts'

const PREVIOUS = 'previous'
const COMPONENTS = ['operator', 'controller', 'relay', 'connector'] as const
const CRD = 'resources.sallyport.dev'
/** A field that this revision has and the previous one has not. */
const NEW_FIELD = 'openURL'
const SPEC_PROPERTIES = ['spec', 'versions', 0, 'schema', 'openAPIV3Schema', 'properties', 'spec', 'properties']

describe('a release of the previous revision in use', () => {
  let release: Release
  let traffic: Traffic
  let ada: Person
  beforeAll(async () => {
    release = new Release()
    await kube(['delete', '-f', join(CHART, 'crds'), '--ignore-not-found'])
    await buildPrevious(release.work)
    const tags = Object.fromEntries(COMPONENTS.map(name => [name, { tag: PREVIOUS }]))
    await release.everything({ images: tags }, previousChart(release.work))
    ada = await release.person(ADA)
    traffic = new Traffic(ada)
  }, LONG_MS)
  afterAll(async () => {
    console.log(await traffic?.end())
    await release.close()
  }, LONG_MS)

  /** Makes a change under load and waits until every pod is of that image, and all is as it was. */
  async function under(title: string, tag: string, change: () => Promise<string>): Promise<void> {
    await traffic.under(title, async () => {
      await change()
      await eventually(`pods of ${tag} alone`, async () => (await tags()).every(one => one === tag), {
        timeoutMs: LONG_MS,
        everyMs: 500,
      })
      await release.settled(2)
      await release.ready()
    })
    await expect(ada.get(WEB.host, WEB.port + 1)).rejects.toThrow('SOCKS reply 2')
  }

  it('is upgraded, its CRDs with it', { timeout: LONG_MS }, async () => {
    expect(await newField()).toBe('')
    await under('upgrade', image('operator').split(':').at(-1)!, () => release.upgrade())
    expect(await newField()).toBe('string')
  })

  it('is rolled back, and keeps the CRDs', { timeout: LONG_MS }, async () => {
    await under('rollback', PREVIOUS, () => helm(['rollback', RELEASE, '--namespace', NAMESPACE]))
    expect(await newField()).toBe('string')
  })
})

/** Images that differ from those under test as the ones of another revision do: by name and digest. */
async function buildPrevious(work: string): Promise<void> {
  for (const name of COMPONENTS) {
    const dockerfile = join(work, `Dockerfile.${name}`)
    writeFileSync(dockerfile, `FROM ${image(name)}\nLABEL revision=${PREVIOUS}\n`)
    await buildImage(dockerfile, work, `sallyport/${name}:${PREVIOUS}`)
  }
}

/** This chart with a lower version, and CRDs that lack a field. */
function previousChart(work: string): string {
  const chart = join(work, PREVIOUS)
  cpSync(CHART, chart, { recursive: true })
  edit(join(chart, 'Chart.yaml'), description => description.setIn(['version'], '0.0.1'))
  edit(join(chart, 'crds/resources.yaml'), crd => crd.deleteIn([...SPEC_PROPERTIES, NEW_FIELD]))
  return chart
}

function edit(file: string, change: (document: Document) => void): void {
  const document = parseDocument(readFileSync(file, 'utf8'))
  change(document)
  writeFileSync(file, document.toString())
}

/** Type of the new field, as the cluster's CRD has it; empty when it has none. */
function newField(): Promise<string> {
  const path = [...SPEC_PROPERTIES, NEW_FIELD]
    .map(step => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
  return kube(['get', 'crd', CRD, '-o', `jsonpath={${path}.type}`])
}

/** Tags of all that runs of the release, those included that are still ending. */
async function tags(): Promise<string[]> {
  const { items } = JSON.parse(await kube(['get', 'pods', '-n', NAMESPACE, '-o', 'json'])) as { items: Pod[] }
  return items.flatMap(({ spec }) => spec.containers.map(({ image }) => image.split(':').at(-1)!))
}
