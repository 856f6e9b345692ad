import { createLog, runMain } from '@sallyport/runtime'
import { readConfig } from './config.ts'
import { applyCrds, defaultCluster } from './kubernetes/crds.ts'
import { startOperator } from './operator.ts'

if (process.argv[2] === 'apply-crds') {
  await applyCrds(defaultCluster(), createLog('operator', 'info'))
} else {
  await runMain({
    name: 'operator',
    readConfig,
    logLevel: config => config.logLevel,
    // Whoever no longer leads must not go on: the next process competes again.
    start: (config, { log }) => startOperator(config, { log, onLost: () => process.kill(process.pid, 'SIGTERM') }),
  })
}
