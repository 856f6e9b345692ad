/** One version for everything that is released together. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { VERSION as CLIENT_VERSION } from '@sallyport/client'
import { configFromValue } from '@sallyport/runtime'
import { OperatorConfigSchema } from '@sallyport/schema'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')
const versionOf = (manifest: string) => JSON.parse(readFileSync(join(root, manifest), 'utf8')).version
const version = versionOf('package.json')
const manifests = globSync('{packages/*,images/*,client,operator}/package.json', { cwd: root })

it.each(manifests)('%s has the version of the project', manifest => {
  expect(versionOf(manifest)).toBe(version)
})

it('the command has the version of the project', () => {
  expect(CLIENT_VERSION).toBe(version)
})

it('the operator runs images of its own version', () => {
  const images = configFromValue(OperatorConfigSchema, { SALLYPORT_CONTROLLER_URL: 'https://localhost' }, 'test')
  expect(images.SALLYPORT_CONNECTOR_IMAGE).toBe(`sallyport/connector:${version}`)
  expect(images.SALLYPORT_RELAY_IMAGE).toBe(`sallyport/relay:${version}`)
})
