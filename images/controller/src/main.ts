import { runMain } from '@sallyport/runtime'
import { readConfig } from './config.ts'
import { startController } from './controller.ts'

await runMain({
  name: 'controller',
  readConfig,
  logLevel: config => config.logLevel,
  start: (config, deps) => startController(config, { ...deps, onMoved: () => process.kill(process.pid, 'SIGTERM') }),
})
