import { runMain } from '@sallyport/runtime'
import { readConfig } from './config.ts'
import { startRelay } from './relay.ts'

await runMain({
  name: 'relay',
  readConfig: () => readConfig(),
  logLevel: config => config.logLevel,
  start: startRelay,
})
