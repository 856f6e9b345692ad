import { describe, expect, it } from 'vitest'
import { startHealthServer } from './health.ts'
import { createMetrics } from './metrics.ts'

describe('the health server', () => {
  it('names each check and why it fails, and keeps liveness apart from readiness', async () => {
    let reason: string | undefined = 'registered at no Relay'
    const metrics = createMetrics('test', { defaults: false })
    const server = await startHealthServer({
      listen: { host: '127.0.0.1', port: 0 },
      metrics,
      readiness: [
        { name: 'registered', failing: () => reason },
        { name: 'acl', failing: () => undefined },
      ],
    })
    const get = (path: string) => fetch(`http://${server.address}${path}`)
    try {
      const unready = await get('/readyz')
      expect(unready.status).toBe(503)
      expect(await unready.json()).toEqual({
        status: 'failing',
        checks: [
          { name: 'registered', ok: false, reason: 'registered at no Relay' },
          { name: 'acl', ok: true },
        ],
      })
      expect((await get('/healthz')).status).toBe(200)
      reason = undefined
      expect((await get('/readyz')).status).toBe(200)
      expect((await get('/nothing')).status).toBe(404)
      expect((await fetch(`http://${server.address}/readyz`, { method: 'POST', body: 'x' })).status).toBe(405)
    } finally {
      await server.close()
    }
  })

  it('serves the metrics of its own process only', async () => {
    const [one, other] = [createMetrics('one'), createMetrics('two', { defaults: false })]
    one.counter('dials_total', 'Dials.', ['result']).inc({ result: 'ok' })
    other.gauge('open', 'Open.', [], () => 7)
    const server = await startHealthServer({ listen: { host: '127.0.0.1', port: 0 }, metrics: one, readiness: [] })
    try {
      const text = await (await fetch(`http://${server.address}/metrics`)).text()
      expect(text).toContain('sallyport_one_dials_total{result="ok"} 1')
      expect(text).toContain('process_resident_memory_bytes')
      expect(text).not.toContain('sallyport_two')
      expect(await other.registry.metrics()).toContain('sallyport_two_open 7')
    } finally {
      await server.close()
    }
  })
})
