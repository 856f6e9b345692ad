/** Times from a process's start to ready, of the bundles in dist/ (`make bundle`), everything that they talk to running. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Lab } from '@sallyport/testkit'

const ROUNDS = 10
const POLL_MS = 5
const READY_TIMEOUT_MS = 60_000
const bundles = join(import.meta.dirname, '../../dist')
if (!existsSync(join(bundles, 'relay.mjs'))) throw new Error('dist/ is empty: make bundle fills it')

// As the images start them.
Object.assign(process.env, { NODE_OPTIONS: '--enable-source-maps', NODE_DISABLE_COMPILE_CACHE: '1' })
const lab = await Lab.start({ bundles })
try {
  console.log('| process | bundle | start to ready, p50 | longest | of it processor time, p50 | memory when ready |')
  console.log('|---|---|---|---|---|---|')
  for (const part of ['controller', 'relay-0', lab.installation.parts.at(-1)!, 'operator']) {
    const rounds: Round[] = []
    for (let round = 0; round < ROUNDS; round++) rounds.push(await restart(part))
    const sorted = (field: keyof Round) => rounds.map(round => round[field]).sort((a, b) => a - b)
    const middle = (field: keyof Round) => Math.round(sorted(field)[ROUNDS / 2]!)
    const program = ['controller', 'relay', 'operator'].find(name => part.startsWith(name)) ?? 'connector'
    const size = (statSync(join(bundles, `${program}.mjs`)).size / 1e6).toFixed(1)
    const times = [middle('ms'), Math.round(sorted('ms').at(-1)!), middle('cpuMs')].map(time => `${time} ms`)
    console.log(`| ${[program, `${size} MB`, ...times, `${middle('megabytes')} MB`].join(' | ')} |`)
  }
} finally {
  await lab.close()
}

type Round = { ms: number; cpuMs: number; megabytes: number }

async function restart(part: string): Promise<Round> {
  await lab.installation.kill(part, 'SIGTERM')
  const started = performance.now()
  const { pid, lines } = lab.installation.revive(part)
  while (!(await lab.installation.isReady(part))) {
    if (performance.now() > started + READY_TIMEOUT_MS) throw new Error(`${part} is not ready: ${lines.at(-1)}`)
    await new Promise(resolve => setTimeout(resolve, POLL_MS))
  }
  const ms = performance.now() - started
  // proc(5): utime and stime, in hundredths of a second, are the 14th and 15th field of stat.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  const memory = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return { ms, cpuMs: (Number(stat[11]) + Number(stat[12])) * 10, megabytes: Number(memory?.[1]) / 1000 }
}
