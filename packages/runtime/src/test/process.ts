import { Type } from '@sallyport/schema'
import { configFromEnvironment } from '../config.ts'
import { runMain } from '../lifecycle.ts'

const Schema = Type.Object({
  SALLYPORT_FAULT: Type.Enum(['none', 'start', 'later', 'hang'], { default: 'none' }),
  SALLYPORT_NUMBER: Type.Integer(),
})

void runMain({
  name: 'test-process',
  readConfig: () => configFromEnvironment(Schema),
  logLevel: () => 'info',
  start: async ({ SALLYPORT_FAULT: fault }, { log }) => {
    if (fault === 'start') throw new Error('no start')
    if (fault === 'later') setTimeout(() => Promise.reject(new Error('nobody waits for me')), 1)
    const alive = setInterval(() => undefined, 1_000)
    log.info({ token: 'spe_secret', nested: { authorization: 'Bearer secret' } }, 'started')
    return {
      close: async () => {
        if (fault === 'hang') await new Promise(() => undefined)
        clearInterval(alive)
        log.info('closed')
      },
    }
  },
})
