/**
 * Every object of the chart and every child is deleted by hand, one after the other in random order, while `helm upgrade` runs in a loop. Each
 * comes back, and with it all that hangs on it. `DELETIONS` says how many (100 for the long form), `SEED` in which order.
 */

import { ADA, eventually } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { uuidV5 } from '../../operator/src/plan/row.ts'
import { Dice } from '../../packages/wire/src/fuzz.ts'
import { find, kube } from './cluster.ts'
import { ALL_KINDS, LONG_MS, NAMESPACE, type Person, RELEASE, Release, WEB } from './release.ts'
import { list, orphans, remove, type Target, targets, unready } from './target.ts'

const DELETIONS = Number(process.env.DELETIONS ?? 12)
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)
const GRACE = 'grace@example.com'
/** The port of the Controller's Service stays, with which people have logged in. */
const VALUES = { controller: { service: { nodePort: 30_043 } } }
const KEPT_SECRETS = [`${RELEASE}-ca`, `${RELEASE}-store-key`]

/** Runs in the Controller's pod, and prints what it knows of things that are declared. */
const READ_ROWS = `
  import { DatabaseSync } from 'node:sqlite'
  const database = new DatabaseSync('/var/lib/sallyport/controller.sqlite', { readOnly: true })
  const column = (what, table) => database.prepare('select ' + what + ' as id from ' + table).all().map(({ id }) => id).sort()
  console.log(JSON.stringify({
    declared: column('uid', 'declared'),
    slots: column('uid', 'slots'),
    connectorKeys: column('slot', 'connector_keys'),
    enrolmentTokens: [...new Set(column('slot', 'enrolment_tokens'))],
    relayKeys: [...new Set(column('relay', 'relay_keys'))],
  }))`

describe('a release of which someone deletes things by hand', () => {
  let release: Release
  let ada: Person
  beforeAll(async () => {
    release = new Release()
    await release.everything(VALUES)
    ada = await release.person(ADA)
  }, LONG_MS)
  afterAll(() => release.close())

  it('has each of them again, with all that hangs on it, and nothing twice', {
    timeout: LONG_MS + DELETIONS * 120_000,
  }, async () => {
    const before = await targets()
    console.log(`SEED=${SEED}`)
    const secrets = await contentsOf(KEPT_SECRETS)
    const login = await loginLine()
    const upgrades = new Upgrades(release)
    const times: [string, number][] = []
    for (const [index, target] of inRandomOrder(before, DELETIONS).entries()) {
      const { seconds, last } = await deleted(target, ada)
      times.push([target.kind, seconds])
      console.log(`${index + 1}/${DELETIONS} ${nameOf(target)}: ${seconds.toFixed(1)} s${last}`)
    }
    const { done, failures } = await upgrades.end()
    console.log(`${DELETIONS} deletions of ${before.length} objects, ${done} upgrades beside them\n${tableOf(times)}`)
    await allReady('all of it at the end', ada)
    expect(failures).toEqual([])
    expect((await targets()).map(nameOf).sort()).toEqual(before.map(nameOf).sort())
    expect(await contentsOf(KEPT_SECRETS)).toEqual(secrets)
    expect(await loginLine()).toBe(login)
    await eventually('no child without its owner', async () => (await orphans()).length === 0, { timeoutMs: LONG_MS })
    await eventually(
      'the Controller to know each thing once, and no other',
      async () => {
        expect(await rows()).toEqual(await declaredRows())
        return true
      },
      { timeoutMs: LONG_MS, everyMs: 1000 },
    )
    const { device } = await release.person(GRACE)
    type Known = { name: string; connected: boolean; ready: boolean }
    await eventually(
      'both Connectors at the Controller, and no other',
      async () => {
        const connectors = await device.json<Known[]>(['admin', 'connectors', 'list'])
        const known = connectors.map(({ name, connected, ready }) => ({ name, connected, ready }))
        expect(known.sort((a, b) => a.name.localeCompare(b.name))).toEqual(
          ['office-0', 'office-1'].map(name => ({ name, connected: true, ready: true })),
        )
        return true
      },
      { timeoutMs: LONG_MS, everyMs: 1000 },
    )
  })
})

/** `helm upgrade`, again and again. */
class Upgrades {
  #isOver = false
  #done = 0
  readonly #failures: string[] = []
  readonly #loop: Promise<void>

  constructor(release: Release) {
    const loop = async () => {
      while (!this.#isOver) {
        await release.upgrade(VALUES).then(
          () => this.#done++,
          error => this.#failures.push(String(error)),
        )
      }
    }
    this.#loop = loop()
  }

  async end(): Promise<{ done: number; failures: string[] }> {
    this.#isOver = true
    await this.#loop
    return { done: this.#done, failures: this.#failures }
  }
}

/** All of them once, then all once more, each time in another order. */
function inRandomOrder(all: readonly Target[], count: number): Target[] {
  const dice = new Dice(SEED)
  const order: Target[] = []
  while (order.length < count) {
    const left = [...all]
    while (left.length > 0) order.push(...left.splice(dice.roll(left.length), 1))
  }
  return order.slice(0, count)
}

/** Deletes it, and waits until everything is Ready again; gives the seconds, and for what it was that it has waited last. */
async function deleted(target: Target, ada: Person): Promise<{ seconds: number; last: string }> {
  const startedMs = performance.now()
  const isBack = await remove(target)
  await eventually(`${nameOf(target)} again`, isBack, { timeoutMs: LONG_MS, everyMs: 250 })
  // Pods go on with a token of the account that is gone, which the API server refuses: whoever has deleted it makes new ones.
  if (target.kind === 'ServiceAccount') {
    await kube(['rollout', 'restart', `deployment/${target.name}`, '-n', NAMESPACE])
  }
  const last = await allReady(`everything after ${nameOf(target)} was deleted`, ada)
  return { seconds: (performance.now() - startedMs) / 1000, last }
}

async function allReady(what: string, ada: Person): Promise<string> {
  let last = ''
  const look = async () => {
    const missing = await unready()
    if (missing.length > 0) last = ` (${missing.at(-1)})`
    expect(missing).toEqual([])
    const said = await ada.get(WEB.host, WEB.port).catch(String)
    if (said !== WEB.says) last = ` (request: ${said})`
    return said === WEB.says
  }
  await eventually(what, look, { timeoutMs: LONG_MS, everyMs: 250 })
  return last
}

async function rows(): Promise<Record<string, string[]>> {
  const script = ['node', '--input-type=module', '--eval', READ_ROWS]
  return JSON.parse(await kube(['exec', `deployment/${RELEASE}-controller`, '-n', NAMESPACE, '--', ...script]))
}

/** What the Controller has to know, by what is declared: each Connector with one key, each replica of a Relay a row of its own. */
async function declaredRows(): Promise<Record<string, string[]>> {
  const objects = await list(ALL_KINDS)
  const uids = (isWanted: (kind: string) => boolean) =>
    objects.filter(({ kind }) => isWanted(kind)).map(({ metadata }) => metadata.uid)
  const relays = objects
    .filter(({ kind }) => kind === 'Relay')
    .flatMap(({ metadata, spec }) =>
      Array.from({ length: spec?.replicas ?? 2 }, (_, index) => uuidV5(metadata.uid, String(index))),
    )
    .sort()
  const connectors = uids(kind => kind === 'Connector').sort()
  return {
    declared: [...uids(kind => kind !== 'Relay'), ...relays].sort(),
    slots: connectors,
    connectorKeys: connectors,
    enrolmentTokens: connectors,
    relayKeys: relays,
  }
}

async function contentsOf(secrets: string[]): Promise<unknown[]> {
  return Promise.all(secrets.map(async name => (await find<{ data: object }>('secret', name, NAMESPACE))?.data))
}

async function loginLine(): Promise<string | undefined> {
  return (await find<{ data: { login: string } }>('configmap', `${RELEASE}-login`, NAMESPACE))?.data.login
}

const nameOf = ({ kind, name }: Target) => `${kind} ${name}`

function tableOf(times: readonly [string, number][]): string {
  const kinds = [...new Set(times.map(([kind]) => kind))].sort()
  const lines = kinds.map(kind => {
    const sorted = times
      .filter(([other]) => other === kind)
      .map(([, seconds]) => seconds)
      .sort((a, b) => a - b)
    const [median, max] = [sorted[sorted.length >> 1]!, sorted.at(-1)!]
    return `${kind.padEnd(22)} ${String(sorted.length).padStart(3)} ${median.toFixed(1).padStart(8)} ${max.toFixed(1).padStart(8)}`
  })
  return [`${'kind'.padEnd(22)} ${'n'.padStart(3)} ${'median s'.padStart(8)} ${'max s'.padStart(8)}`, ...lines].join(
    '\n',
  )
}
