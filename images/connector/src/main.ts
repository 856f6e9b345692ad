import { runMain } from '@sallyport/runtime'
import { readConfig, startConnector } from './connector.ts'

await runMain({
  name: 'sallyport-connector',
  readConfig,
  logLevel: ({ logLevel }) => logLevel,
  start: startConnector,
})
