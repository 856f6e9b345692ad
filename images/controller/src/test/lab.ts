/** A running Controller of a test, and everyone who may speak to it. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, type Log, silentLog, systemClock } from '@sallyport/runtime'
import {
  type ControllerConfigInput,
  type DeclaredRow,
  type FromOperator,
  type TenantConfig,
  ToOperator,
} from '@sallyport/schema'
import { eventually, freePorts } from '@sallyport/testkit'
import {
  createCa,
  generateKeyPair,
  issueServingCertificate,
  type KeyPair,
  privateKeyToPem,
  publicJwk,
} from '@sallyport/trust'
import { configFrom } from '../config.ts'
import { type Controller, startController } from '../controller.ts'
import { type CallOptions, send } from './call.ts'
import { openChannel } from './channel.ts'
import { connectorHand } from './connector.ts'
import { deviceHand } from './device.ts'
import { bodies, OPERATOR_ISSUER, type OperatorClaims, operatorHand, operatorSubject } from './operator.ts'

export type LabOptions = {
  tenants?: { name: string; accounts?: string[]; admins?: string[]; sources?: string[] }[]
  config?: Partial<ControllerConfigInput>
  clock?: Clock
  log?: Log
}

/** The machine's clock, that far ahead; its timers fire as they always do. */
export class ShiftedClock implements Clock {
  #aheadMs = 0
  now = () => systemClock.now() + this.#aheadMs
  monotonic = () => systemClock.monotonic() + this.#aheadMs
  timer = systemClock.timer

  /** Lets `ms` pass at once. */
  pass(ms: number): void {
    this.#aheadMs += ms
  }
}

/** A running Controller with its files, and everyone who may speak to it. */
export async function startControllerLab(options: LabOptions = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-controller-'))
  const [port = 0] = await freePorts(1)
  const url = `https://127.0.0.1:${port}`
  const operatorKeys = generateKeyPair()
  const { ca, paths } = writeFiles(dir)
  const tenants = (options.tenants ?? [{ name: 'default' }]).map(tenant => tenantConfig(tenant, operatorKeys))
  const input: ControllerConfigInput = {
    url,
    listen: `127.0.0.1:${port}`,
    metricsListen: '127.0.0.1:0',
    database: { path: join(dir, 'controller.db') },
    ...paths,
    tenants,
    ...options.config,
  }
  const deps = { log: options.log ?? silentLog, ...(options.clock && { clock: options.clock }) }
  let controller: Controller | undefined = await startController(configFrom(input), deps)
  const closers: (() => Promise<unknown>)[] = []
  const now = () => (options.clock ?? systemClock).now()
  const call = (method: string, path: string, { headers = {}, body }: CallOptions = {}) =>
    send(`${url}${path}`, ca.certificatePem, method, headers, body)

  return {
    url,
    dir,
    port,
    ca,
    input,
    call,
    operatorKeys,
    get metricsAddress() {
      return controller?.metricsAddress ?? ''
    },
    operator: (changes: Partial<OperatorClaims> = {}) => operatorHand({ url, call, now }, operatorKeys, changes),
    connector: (keys = generateKeyPair()) => connectorHand({ url, ca, call, closers, now }, keys),
    device: (tenant: string, email: string, keys = generateKeyPair()) =>
      deviceHand({ url, ca, call, closers, now }, { tenant, email, keys }),
    operatorChannel: (token: string) =>
      openChannel<ToOperator, FromOperator>({ url, ca, closers, now }, '/v1/operator', ToOperator, { token }),
    stop: async () => {
      await controller?.close()
      controller = undefined
    },
    start: async () => {
      controller = await startController(configFrom(input), deps)
    },
    close: async () => {
      for (const close of closers.splice(0).reverse()) await close()
      await controller?.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
export type ControllerLab = Awaited<ReturnType<typeof startControllerLab>>

/** Writes CA, serving certificate and store key. */
export function writeFiles(dir: string) {
  mkdirSync(dir, { recursive: true })
  const life = { nowMs: systemClock.now(), lifeSeconds: 86_400 }
  const ca = createCa({ commonName: 'installation' }, life)
  const keys = generateKeyPair()
  const names = { publicKey: keys.publicKey, dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] }
  const paths = {
    storeKeyFile: join(dir, 'store.key'),
    tls: { certFile: join(dir, 'tls.crt'), keyFile: join(dir, 'tls.key') },
  }
  writeFileSync(paths.tls.certFile, issueServingCertificate(ca, names, life))
  writeFileSync(join(dir, 'ca.crt'), ca.certificatePem)
  writeFileSync(paths.tls.keyFile, privateKeyToPem(keys.privateKey))
  writeFileSync(paths.storeKeyFile, Buffer.alloc(32, 7).toString('base64'))
  return { ca, paths }
}

function tenantConfig(
  { name, accounts = [], admins = [], sources = ['cluster'] }: NonNullable<LabOptions['tenants']>[number],
  { publicKey }: KeyPair,
): TenantConfig {
  const keys = [{ ...publicJwk(publicKey), kid: 'operator', alg: 'ES256' }]
  return {
    name,
    operators: sources.map(source => ({
      issuer: OPERATOR_ISSUER,
      jwks: { keys },
      subject: operatorSubject(name, source),
      source,
    })),
    ...(accounts.length > 0 && {
      identityProviders: [
        { name: 'tryout', type: 'embedded', embedded: true, accounts: accounts.map(email => ({ email })) },
      ],
    }),
    admins,
  }
}

/** A whole office: network, two Relays, a Connector that has enrolled, a Group with `members`, a Resource that it may reach. */
export async function furnish(lab: ControllerLab, members: string[], tenant = 'default', source = 'cluster') {
  const operator = lab.operator({ tenant, source })
  const named = (name: string) => (tenant === 'default' ? name : `${tenant}-${name}`)
  const [network, slot, group, resource] = [named('office'), named('connector-0'), named('staff'), named('web')]
  await operator.put('network', network, bodies.network(network))
  await operator.put('connector', slot, bodies.connector(slot, network))
  const relays = [named('r0'), named('r1')]
  for (const relay of relays) await operator.relay(relay)
  await operator.put('group', group, bodies.group(group, members))
  await operator.put('resource', resource, bodies.resource(resource, network, [group]))
  const connector = lab.connector()
  const { token } = await operator.enrolmentToken(slot)
  const enrolled = await connector.enrol(token)
  if (enrolled.status !== 200) throw new Error(`enrolment: ${enrolled.status} ${enrolled.text}`)
  /** Waits until the Controller has seen the end of the Connector's channel. */
  const vacated = () =>
    eventually('that the Connector is gone', async () => {
      const { body } = await operator.get('connector', slot)
      return (body as DeclaredRow).slot?.connected === false
    })
  return { operator, network, slot, group, resource, relays, connector, vacated }
}
