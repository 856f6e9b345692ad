import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FakeClock } from '@sallyport/runtime'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { TokenFile } from './token-file.ts'

describe('the file of a projected token', () => {
  let directory: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sallyport-token-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('is read once for all who ask within a second, and again after it', async () => {
    const path = join(directory, 'token')
    const clock = new FakeClock()
    const file = new TokenFile(path, clock)
    writeFileSync(path, 'first\n')
    expect(await Promise.all([file.read(), file.read()])).toEqual(['first', 'first'])
    writeFileSync(path, 'second\n')
    clock.advance(999)
    expect(await file.read()).toBe('first')
    clock.advance(1)
    expect(await file.read()).toBe('second')
  })

  it('fails while it is not there, and is read when it is', async () => {
    const path = join(directory, 'token')
    const clock = new FakeClock()
    const file = new TokenFile(path, clock)
    await expect(file.read()).rejects.toThrow('ENOENT')
    writeFileSync(path, 'late')
    clock.advance(1000)
    expect(await file.read()).toBe('late')
  })
})
