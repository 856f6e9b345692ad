import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { checkHome, homeOf, prepareHome, socketPath } from './home.ts'

const root = mkdtempSync(join(tmpdir(), 'sp-home-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const isRoot = process.getuid?.() === 0

describe('the state directory', () => {
  it('is made for its owner alone', () => {
    const home = join(root, 'new', 'home')
    prepareHome(home)
    expect(() => checkHome(home)).not.toThrow()
  })

  it('that others may enter is not trusted', () => {
    const home = join(root, 'open')
    mkdirSync(home)
    for (const mode of [0o710, 0o701, 0o755, 0o777]) {
      chmodSync(home, mode)
      expect(() => checkHome(home)).toThrow(expect.objectContaining({ code: 'unsafe_home' }))
    }
  })

  it('that is a link is not trusted, wherever it leads', () => {
    const [real, link] = [join(root, 'real'), join(root, 'link')]
    mkdirSync(real, { mode: 0o700 })
    symlinkSync(real, link)
    expect(() => checkHome(real)).not.toThrow()
    expect(() => checkHome(link)).toThrow(expect.objectContaining({ code: 'unsafe_home' }))
  })

  it.skipIf(!isRoot)('of somebody else is not trusted', () => {
    const home = join(root, 'foreign')
    mkdirSync(home, { mode: 0o700 })
    chownSync(home, 12_345, 12_345)
    expect(() => prepareHome(home)).toThrow(expect.objectContaining({ code: 'unsafe_home' }))
  })

  it('is the one that the environment names', () => {
    expect(homeOf({ SALLYPORT_HOME: '/a', XDG_STATE_HOME: '/b', HOME: '/c' })).toBe('/a')
    expect(homeOf({ XDG_STATE_HOME: '/b', HOME: '/c' })).toBe('/b/sallyport')
    expect(homeOf({ XDG_STATE_HOME: 'relative', HOME: '/c' })).toBe('/c/.local/state/sallyport')
  })

  it('with a path too long for a socket is refused, one that just fits is not', () => {
    const fits = `/${'a'.repeat(103 - '//daemon.sock'.length)}`
    expect(socketPath(fits)).toHaveLength(103)
    expect(() => socketPath(`${fits}a`)).toThrow(expect.objectContaining({ code: 'unsafe_home' }))
  })
})
