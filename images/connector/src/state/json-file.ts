import { readFile } from 'node:fs/promises'
import { writeFileAtomic } from '@sallyport/runtime'
import type { Parser } from '@sallyport/schema'

/** Reads a JSON file; undefined when it is not there or is not what it must be. */
export async function readJsonFile<T>(path: string, shape: Parser<T>): Promise<T | undefined> {
  const text = await readTextFile(path)
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return shape.check(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Reads a text file; undefined when it is not there. */
export async function readTextFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Replaces a JSON file; it is on disk when this resolves. */
export function writeJsonFile(path: string, value: unknown): Promise<void> {
  return writeFileAtomic(path, JSON.stringify(value))
}
