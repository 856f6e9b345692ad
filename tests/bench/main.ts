/**
 * `make bench`: end to end through the Relay beside stunnel -> haproxy -> stunnel, in the same run, interleaved; medians of the rounds and
 * ratios, as a table for docs/performance.md.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { ADA, freePorts, Lab, run, TCP_HOST, withPorts } from '@sallyport/testkit'
import { download, median, newStreams, roundTrip, upload } from './driver.ts'
import { type Chain, startYardstick } from './yardstick.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const MIB = 1024 * 1024

type Measurement = {
  name: string
  unit: string
  digits: number
  lowerIsBetter?: true
  measure: (port: number) => Promise<number>
}
const MEASUREMENTS: Measurement[] = [
  {
    name: 'download, 1 stream',
    unit: 'MB/s',
    digits: 0,
    measure: async port => (await download(port, 1, 512 * MIB)) / 1e6,
  },
  {
    name: 'download, 8 streams',
    unit: 'MB/s',
    digits: 0,
    measure: async port => (await download(port, 8, 64 * MIB)) / 1e6,
  },
  {
    name: 'upload, 1 stream',
    unit: 'MB/s',
    digits: 0,
    measure: async port => (await upload(port, 1, 512 * MIB)) / 1e6,
  },
  {
    name: 'upload, 8 streams',
    unit: 'MB/s',
    digits: 0,
    measure: async port => (await upload(port, 8, 64 * MIB)) / 1e6,
  },
  { name: 'new streams, 16 at a time', unit: '1/s', digits: 0, measure: port => newStreams(port, 1500, 16) },
  {
    name: 'round trip on an open stream, p50',
    unit: 'µs',
    digits: 0,
    lowerIsBetter: true,
    measure: port => roundTrip(port, 2000),
  },
]

const dir = mkdtempSync(join(tmpdir(), 'sallyport-bench-'))
const [targetPort] = (await freePorts(1)) as [number]
const target = run({ name: 'target', args: [join(import.meta.dirname, 'target.ts'), String(targetPort)] })
await target.line(/listening/)
const lab = await Lab.start({
  dir: join(dir, 'lab'),
  members: [ADA],
  objects: objects =>
    objects.map(object => (object.metadata.name === 'tcp' ? withPorts(object, [targetPort]) : object)),
})
const chains: Chain[] = []
try {
  await lab.login()
  chains.push({ name: 'sallyport', port: await lab.device.forward(TCP_HOST, targetPort), close: async () => {} })
  const yardstick = await startYardstick(join(dir, 'yardstick'), targetPort)
  if (typeof yardstick === 'string') console.error(`without the yardstick: ${yardstick}`)
  else chains.push(yardstick)
  report(await measureAll())
} finally {
  await Promise.all(chains.map(chain => chain.close()))
  await lab.close()
  await target.stop()
  rmSync(dir, { recursive: true, force: true })
}

async function measureAll(): Promise<Map<string, number[]>> {
  const results = new Map<string, number[]>()
  for (let round = 1; round <= ROUNDS; round++) {
    for (const { name, measure, unit, digits } of MEASUREMENTS) {
      for (const chain of round % 2 === 0 ? chains.toReversed() : chains) {
        const value = await measure(chain.port)
        const key = `${name}/${chain.name}`
        results.set(key, [...(results.get(key) ?? []), value])
        console.error(`round ${round}: ${name}: ${chain.name}: ${value.toFixed(digits)} ${unit}`)
      }
    }
  }
  return results
}

function report(results: Map<string, number[]>) {
  console.log(`\nNode ${process.version}, ${cpus().length} cores, medians of ${ROUNDS} rounds, interleaved.\n`)
  console.log(`| what | unit | ${chains.map(({ name }) => name).join(' | ')} | ratio |`)
  console.log(`|---|---|${chains.map(() => '---|').join('')}---|`)
  for (const { name, unit, digits, lowerIsBetter } of MEASUREMENTS) {
    const [ours, theirs] = chains.map(chain => median(results.get(`${name}/${chain.name}`) ?? []))
    const ratio = theirs === undefined ? '' : (ours! / theirs).toFixed(2)
    console.log(
      `| ${name} | ${unit} | ${[ours, theirs]
        .filter(value => value !== undefined)
        .map(value => value!.toFixed(digits))
        .join(' | ')} | ${ratio}${lowerIsBetter ? ' (lower is better)' : ''} |`,
    )
  }
}
