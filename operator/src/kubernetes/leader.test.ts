import { FakeClock, silentLog } from '@sallyport/runtime'
import { expect, it } from 'vitest'
import { ProviderError } from '../provider.ts'
import type { Lease } from './kube.ts'
import { Leader } from './leader.ts'

/** One Lease, as an API server keeps it; `onWrite` happens before each write reaches it. */
class Leases {
  #lease: Lease | undefined
  #version = 0
  onWrite: () => Promise<void> = async () => undefined

  get holder(): string | undefined {
    return this.#lease?.spec.holderIdentity
  }

  /** Writes as someone who does not ask for the version. */
  change(changes: Partial<Lease>): void {
    const lease = { ...this.#lease!, ...changes }
    this.#lease = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(++this.#version) } }
  }

  async lease(): Promise<Lease | undefined> {
    return this.#lease
  }

  async writeLease(lease: Lease): Promise<Lease> {
    await this.onWrite()
    if (lease.metadata.resourceVersion !== this.#lease?.metadata.resourceVersion) {
      throw new ProviderError('conflict', 'someone has written it')
    }
    this.#lease = lease
    this.change({})
    return this.#lease
  }
}

function candidate() {
  const kube = new Leases()
  const leader = new Leader({
    ...{ kube, namespace: 'sallyport', lease: 'operator', identity: 'one', leaseSeconds: 15 },
    ...{ clock: new FakeClock(), log: silentLog },
  })
  return { kube, leader }
}
const ignore = () => undefined
/** Lets a write wait; gives what lets it go on, and tells when it has come. */
function holdWrites(kube: Leases) {
  const [come, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  kube.onWrite = () => {
    come.resolve()
    return goOn.promise
  }
  return { come: come.promise, goOn: goOn.resolve }
}

it('one that is stopped while it takes the Lease gives it back', async () => {
  const { kube, leader } = candidate()
  const { come, goOn } = holdWrites(kube)
  const leading = expect(leader.lead(ignore)).rejects.toThrow('the operator stops')
  await come
  const released = leader.release()
  goOn()
  await Promise.all([leading, released])
  expect(kube.holder).toBe('')
})

it('a Lease that someone has annotated meanwhile is given back', async () => {
  const { kube, leader } = candidate()
  await leader.lead(ignore)
  const annotated = { name: 'operator', namespace: 'sallyport', annotations: { note: 'a person wrote this' } }
  kube.change({ metadata: annotated })
  await leader.release()
  expect(kube.holder).toBe('')
  expect((await kube.lease())?.metadata.annotations).toEqual(annotated.annotations)
})

it('a Lease that another has taken meanwhile stays theirs', async () => {
  const { kube, leader } = candidate()
  await leader.lead(ignore)
  kube.change({ spec: { holderIdentity: 'two' } })
  await leader.release()
  expect(kube.holder).toBe('two')
})

it('an API server that is away does not keep one from ending', async () => {
  const { kube, leader } = candidate()
  await leader.lead(ignore)
  kube.onWrite = () => Promise.reject(new ProviderError('unavailable', 'as asked'))
  await leader.release()
  expect(kube.holder).toBe('one')
})
