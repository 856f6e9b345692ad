/**
 * All that is renewed lives for minutes at most, and is renewed on the node while people work: not one new connection fails, no stream is cut,
 * and no pod is started anew for it. `ROTATIONS` (1) multiplies the renewals.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ADA, eventually } from '@sallyport/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kube } from './cluster.ts'
import { LONG_MS, NAMESPACE, type Person, RELEASE, Release, seconds, WEB } from './release.ts'
import { type LiveStream, openStream, Traffic } from './traffic.ts'

/** Pause between two questions: a device may ask the Controller 30 times a minute. */
const QUESTION_MS = 3_000
/** Shorter than the pause between two questions: a device that asks for a page as rarely makes a tunnel of its own for each. */
const IDLE_SECONDS = 1
const ROTATIONS = Number(process.env.ROTATIONS ?? 1)
/** What a stream may last that has to outlive all of them. */
const WAIT_MS = LONG_MS * (1 + ROTATIONS)

/** Lives of what is renewed, in seconds. A CA and a certificate are renewed at half of theirs, an unused token after three quarters. */
const [CA_SECONDS, CERTIFICATE_SECONDS, KEY_SECONDS] = [180, 90, 60]
/** Longer than the kubelet takes to bring a changed Secret into a pod. */
const AHEAD_SECONDS = 30
const VALUES = {
  operator: {
    env: [
      { name: 'SALLYPORT_CA_SECONDS', value: String(CA_SECONDS) },
      { name: 'SALLYPORT_CERTIFICATE_SECONDS', value: String(CERTIFICATE_SECONDS) },
    ],
  },
  controller: {
    acl: { defaultLifetimeSeconds: 30 },
    certificates: { connectorSeconds: 60, deviceSeconds: 60 },
    enrolment: { tokenSeconds: 60 },
    login: { accessTokenSeconds: 30 },
    relayKeys: { rotationSeconds: KEY_SECONDS, activationSeconds: AHEAD_SECONDS },
    signingKeys: { rotationSeconds: KEY_SECONDS, announceSeconds: AHEAD_SECONDS },
  },
}
/** Renewals to wait for: of everything, and those of short life more often. */
const WANTED = {
  'installation CA': ROTATIONS,
  "Controller's certificate": 2 * ROTATIONS,
  "Relays' certificates": 4 * ROTATIONS,
  "Connectors' certificates": 4 * ROTATIONS,
  "Connectors' tokens": 2 * ROTATIONS,
  'signing keys': ROTATIONS,
  "Relays' keys": 2 * ROTATIONS,
  logins: 3 * ROTATIONS,
}
type Renewed = keyof typeof WANTED

describe('what is renewed on a node', () => {
  let release: Release
  let ada: Person
  let again: Person
  let stream: LiveStream
  let before: string[]
  let seen: Seen
  beforeAll(async () => {
    release = new Release()
    await release.everything(VALUES)
    ada = await release.person(ADA)
    again = await release.person(ADA, { SALLYPORT_SESSION_IDLE_SECONDS: String(IDLE_SECONDS) })
    stream = await openStream(ada)
    before = await pods()
    seen = new Seen(join(ada.device.home, 'login.json'))
  }, LONG_MS)
  afterAll(() => release.close(), LONG_MS)

  it('is renewed under new connections of which none fails, and one stream outlives it', {
    timeout: WAIT_MS,
  }, async () => {
    const startedAtMs = performance.now()
    await seen.look()
    const traffic = new Traffic(ada)
    const unanswered: string[] = []
    let tunnels = 0
    const renewed = async () => {
      if (traffic.failures.length + unanswered.length > 0 || !stream.isOpen()) return true
      await seen.look()
      await stream.echo()
      const page = await again.get(WEB.host, WEB.port).catch(String)
      if (page !== WEB.says) unanswered.push(`through a new tunnel: ${page}`)
      tunnels++
      // What is no Resource is asked of the Controller, with the access token: it is renewed when there is use for it.
      const asked = ada.device.json(['why', 'elsewhere.example.com:80'])
      const reason = await asked.then(({ reason }) => reason, String)
      if (reason !== 'no_such_name') unanswered.push(`the Controller: ${reason}`)
      const counts = seen.counts()
      return Object.entries(WANTED).every(([what, wanted]) => counts[what as Renewed] >= wanted)
    }
    await traffic.during('renewals', () =>
      eventually('renewals', renewed, { timeoutMs: WAIT_MS, everyMs: QUESTION_MS }),
    )
    const said = `${await traffic.end()}, and ${tunnels} through new tunnels, in ${seconds(startedAtMs)}`
    console.log(`${said}, during ${JSON.stringify(seen.counts())}`)
    expect([...traffic.failures, ...unanswered]).toEqual([])
    expect(stream.isOpen()).toBe(true)
  })

  it('needs no pod started anew, and no login', { timeout: LONG_MS }, async () => {
    expect(await pods()).toEqual(before)
    const pins = seen.all('installation CA').map(pem => new X509Certificate(pem).publicKey.export({ format: 'jwk' }).x)
    expect(new Set(pins).size).toBe(1)
    expect(await ada.get(WEB.host, WEB.port)).toBe(WEB.says)
    await expect(ada.get(WEB.host, WEB.port + 1)).rejects.toThrow('SOCKS reply 2')
  })
})

type Secret = { metadata: { name: string; annotations?: Record<string, string> }; data?: Record<string, string> }

/** Everything of a kind that somebody has held so far. */
class Seen {
  readonly #held = new Map<Renewed, Map<string, Set<string>>>()
  readonly #login: string
  #first: Record<Renewed, number> | undefined

  /** `login` is the file in which a device keeps its login. */
  constructor(login: string) {
    this.#login = login
  }

  /** Renewals since the first look, of all holders together. */
  counts(): Record<Renewed, number> {
    const now = this.#sizes()
    const since = (what: Renewed) => now[what] - this.#first![what]
    return Object.fromEntries(kinds.map(what => [what, since(what)])) as Record<Renewed, number>
  }

  all(what: Renewed): string[] {
    return [...(this.#held.get(what)?.values() ?? [])].flatMap(held => [...held])
  }

  async look(): Promise<void> {
    const { items } = JSON.parse(await kube(['get', 'secrets', '-n', NAMESPACE, '-o', 'json'])) as { items: Secret[] }
    for (const { metadata, data = {} } of items) {
      const text = (entry: string) => Buffer.from(data[entry] ?? '', 'base64').toString()
      const { name } = metadata
      if (name === `${RELEASE}-ca`) this.#add('installation CA', name, text('tls.crt'))
      if (name === `${RELEASE}-controller-tls`) this.#add("Controller's certificate", name, text('tls.crt'))
      if ('relay.json' in data) {
        this.#add("Relays' certificates", name, text('tls.crt'))
        const { keys } = JSON.parse(text('relay.json')) as { keys: { id: string }[] }
        this.#add("Relays' keys", name, ...keys.map(({ id }) => id))
      }
      if ('trust.json' in data) {
        this.#add("Connectors' tokens", name, text('token'))
        const { jwks } = JSON.parse(text('trust.json')) as { jwks: { clientAcl: { keys: { kid: string }[] } } }
        this.#add('signing keys', 'clientAcl', ...jwks.clientAcl.keys.map(({ kid }) => kid))
      }
    }
    for (const name of ['office-0', 'office-1']) this.#add("Connectors' certificates", name, await enrolled(name))
    this.#add('logins', 'ada', JSON.parse(readFileSync(this.#login, 'utf8')).refreshToken)
    this.#first ??= this.#sizes()
  }

  #add(what: Renewed, holder: string, ...values: string[]): void {
    const held = this.#held.get(what) ?? new Map<string, Set<string>>()
    this.#held.set(what, held.set(holder, new Set([...(held.get(holder) ?? []), ...values])))
  }

  #sizes(): Record<Renewed, number> {
    return Object.fromEntries(kinds.map(what => [what, this.all(what).length])) as Record<Renewed, number>
  }
}

const kinds = Object.keys(WANTED) as Renewed[]

/** The certificate that a Connector has now: it keeps it in its state directory only. */
async function enrolled(name: string): Promise<string> {
  const read = "console.log(JSON.parse(require('fs').readFileSync('/var/lib/sallyport/enrolment.json')).certificate)"
  return kube(['exec', '-n', NAMESPACE, `deployment/${name}`, '--', 'node', '-e', read])
}

/** All pods, each with how often its containers have been started anew. */
async function pods(): Promise<string[]> {
  const { items } = JSON.parse(await kube(['get', 'pods', '-n', NAMESPACE, '-o', 'json']))
  return items.map(({ metadata, status }: Started) => {
    const restarts = status.containerStatuses.map(({ restartCount }) => restartCount)
    return `${metadata.name} ${metadata.uid} ${restarts}`
  })
}
type Started = {
  metadata: { name: string; uid: string }
  status: { containerStatuses: { restartCount: number }[] }
}
