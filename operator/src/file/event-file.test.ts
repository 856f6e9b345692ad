import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { EventFile } from './event-file.ts'

const root = mkdtempSync(join(tmpdir(), 'sallyport-events-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const numbers = (path: string) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line).number)

it('keeps the last events and the file before, in order', async () => {
  const path = join(root, 'events.jsonl')
  const events = new EventFile(path, 3 * '{"number":0}\n'.length)
  await Promise.all([0, 1, 2].map(number => events.append({ number })))
  expect(numbers(path)).toEqual([0, 1, 2])
  expect(existsSync(`${path}.1`)).toBe(false)
  await Promise.all([3, 4, 5, 6].map(number => events.append({ number })))
  expect(numbers(`${path}.1`)).toEqual([3, 4, 5])
  expect(numbers(path)).toEqual([6])
})
