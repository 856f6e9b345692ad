import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '@sallyport/runtime'
import { API_VERSION } from '@sallyport/schema'
import { afterAll, describe, expect, it } from 'vitest'
import type { FileObject } from './object-file.ts'
import { Registry } from './registry.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-registry-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

const network: FileObject = {
  manifest: { apiVersion: API_VERSION, kind: 'RemoteNetwork', metadata: { namespace: 'default', name: 'office' } },
  problems: [],
  file: 'network.yaml',
}
let directories = 0
const uidFor = async (account: { iss: string; sub: string }) => {
  const registry = new Registry(join(root, String(++directories)), account, systemClock)
  const [object] = registry.declare([network])
  await registry.settled()
  return object?.metadata.uid
}

describe('the UID of an object in a file', () => {
  it('is the same for the same operator on every machine', async () => {
    const account = { iss: 'laptop', sub: 'operator' }
    expect(await uidFor(account)).toBe(await uidFor(account))
  })

  it.each([
    { iss: 'laptop', sub: 'second' },
    { iss: 'server', sub: 'operator' },
    { iss: 'laptopoperator', sub: '' },
  ])('is another one for another operator (%o)', async account => {
    expect(await uidFor(account)).not.toBe(await uidFor({ iss: 'laptop', sub: 'operator' }))
  })
})

it('a write that fails is told, and does not keep the next from the disk', async () => {
  const directory = join(root, String(++directories))
  const registry = new Registry(directory, { iss: 'laptop', sub: 'operator' }, systemClock)
  const path = join(directory, 'objects.json')
  mkdirSync(path, { recursive: true })
  registry.declare([network])
  await expect(registry.settled()).rejects.toThrow('objects.json')
  rmSync(path, { recursive: true })
  registry.declare([network])
  await registry.settled()
  expect(readFileSync(path, 'utf8')).toContain('RemoteNetwork/default/office')
})
