import { join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readText, sourceFiles } from './imports.ts'

const root = join(import.meta.dirname, '../..')
const self = import.meta.filename
const files = ['packages', 'images', 'client', 'operator', 'hack', 'tests']
  .flatMap(folder => sourceFiles(join(root, folder)))
  .filter(path => path !== self)
const shipped = files.filter(path => !/\.test\.ts$|\/testkit\/|\/tests\/|\/hack\/|-lab\.ts$/.test(path))

const FORBIDDEN: { what: string; pattern: RegExp; in: string[]; except?: RegExp; reason: string }[] = [
  {
    what: 'new TLSSocket',
    pattern: /new (tls\.)?TLSSocket\s*\(/,
    in: files,
    reason:
      'as a server it lets a rogue certificate through; accept with tls.createServer(...).emit("connection", socket)',
  },
  {
    what: 'a switched-off certificate check',
    pattern: /rejectUnauthorized:\s*false|NODE_TLS_REJECT_UNAUTHORIZED|skipTLSVerify:\s*true/,
    in: shipped,
    except: /\/pinned-ca\.ts$/,
    reason: 'nothing is trusted unchecked; only the pin of a login is verified by hand',
  },
  { what: 'eval', pattern: /\beval\s*\(|new Function\s*\(/, in: shipped, reason: 'no code from data' },
  {
    what: 'a shell',
    pattern: /shell:\s*true|\bexecSync?\s*\(\s*[`'"]/,
    in: shipped,
    reason: 'no shell: arguments are lists',
  },
  {
    what: 'the time of day',
    pattern: /\bDate\.now\s*\(|new Date\(\s*\)/,
    in: shipped,
    except: /\/clock\.ts$/,
    reason: 'time is a parameter; only clock.ts asks the system',
  },
  {
    what: 'chance',
    pattern: /Math\.random\s*\(/,
    in: shipped,
    reason: 'chance is a parameter, and secrets need node:crypto',
  },
  {
    what: 'the environment',
    pattern: /process\.env\b/,
    in: shipped,
    except: /\/(config|environment)\.ts$/,
    reason: 'configuration is read once, in config.ts',
  },
  {
    what: 'a metric outside of the table of its process',
    pattern: /\bmetrics\s*\.\s*(counter|gauge|histogram)\s*\(/,
    in: shipped,
    except: /\/metrics?\.ts$/,
    reason: 'docs/reference/metrics.md is made from those tables',
  },
  { what: 'unfinished work', pattern: /\b(TODO|FIXME|XXX)\b/, in: files, reason: 'what is not done is not merged' },
]

describe('nothing in the tree', () => {
  it.each(FORBIDDEN)('has $what: $reason', ({ pattern, in: where, except }) => {
    const found = where.filter(path => !(except?.test(path) ?? false)).filter(path => pattern.test(readText(path)))
    expect(found.map(path => relative(root, path))).toEqual([])
  })

  it('records the host of a package registry', () => {
    expect(/"resolved":\s*"https?:/.test(readText(join(root, 'package-lock.json')))).toBe(false)
  })
})
