/** Fuzzes the parsers and the session until its time is over; a failure prints the seed that repeats it. */
import { randomInt } from 'node:crypto'
import { fuzzWire } from '../packages/wire/src/fuzz.ts'

const RUNS_PER_ROUND = 200
const seconds = Number(process.env.SECONDS_EACH ?? 60)
const end = performance.now() + seconds * 1000
let rounds = 0
while (performance.now() < end) {
  const seed = randomInt(2 ** 31)
  try {
    fuzzWire({ runs: RUNS_PER_ROUND, seed })
  } catch (cause) {
    throw new Error(`failed with seed ${seed}, ${RUNS_PER_ROUND} runs`, { cause })
  }
  rounds++
}
console.log(`${rounds * RUNS_PER_ROUND} runs in ${seconds} s, none failed`)
