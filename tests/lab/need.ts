import { spawnSync } from 'node:child_process'

const told = new Set<string>()

/**
 * Whether a test has to be skipped because `program` is not installed; says so once. Where `CI=true` a missing program is an error: what
 * CI runs, CI installs.
 */
export function needs(program: string): boolean {
  if (spawnSync('which', [program]).status === 0) return false
  if (process.env.CI === 'true') throw new Error(`${program} is not installed; .ci/run installs it`)
  if (!told.has(program)) console.warn(`skipped: ${program} is not installed`)
  told.add(program)
  return true
}
