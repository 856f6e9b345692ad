/**
 * `make demo`: every component on loopback, embedded, each a process of its own; a private service is refused, granted, reached and cut.
 * With `--once` it ends after the steps, with exit code 0 only if every one held.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { printByHand } from './by-hand.ts'
import { dim, failures } from './narrator.ts'
import { Scene } from './scene.ts'
import { steps } from './steps.ts'

const once = process.argv.includes('--once')
const dir = mkdtempSync(join(tmpdir(), 'sallyport-demo-'))
const scene = new Scene(dir)
let ending = false

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (ending) process.exit(1)
    void end(once ? 1 : 0)
  })
}

try {
  for (const step of steps) await step(scene)
  if (failures.length > 0)
    console.log(`\n${failures.length} of the claims did not hold:\n${failures.map(claim => `  ${claim}`).join('\n')}`)
  else console.log('\nEvery step held.')
  if (once || failures.length > 0) await end(failures.length === 0 ? 0 : 1)
  else printByHand(scene)
} catch (error) {
  if (!ending) {
    console.error('\nThe demo stopped:', error)
    console.error(`Logs of every process: ${join(dir, 'log')}`)
    await end(1, true)
  }
}

async function end(code: number, keep = failures.length > 0) {
  ending = true
  console.log(dim('\nstopping every process'))
  await scene.close()
  if (keep) console.log(`kept for a look: ${dir}`)
  else rmSync(dir, { recursive: true, force: true })
  process.exit(code)
}
