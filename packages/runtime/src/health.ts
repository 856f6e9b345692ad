import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { formatHostPort, type HostPort } from './host-port.ts'
import type { Metrics } from './metrics.ts'

/** One named condition of health. */
export type Check = {
  name: string
  /** Undefined while it holds, else the reason in a sentence. */
  failing(): string | undefined
}

/** What `/healthz` and `/readyz` answer. */
export type HealthReport = {
  status: 'ok' | 'failing'
  checks: { name: string; ok: boolean; reason?: string }[]
}

/** Serves `/healthz`, `/readyz` and `/metrics`. */
export type HealthServer = {
  /** host:port that it listens on. */
  address: string
  close(): Promise<void>
}

/** Puts checks into a report. */
export function healthReport(checks: readonly Check[]): HealthReport {
  const told = checks.map(({ name, failing }) => {
    const reason = failing()
    return reason === undefined ? { name, ok: true } : { name, ok: false, reason }
  })
  return { status: told.every(({ ok }) => ok) ? 'ok' : 'failing', checks: told }
}

/** Starts the health server of a process. `liveness` fails only when a restart would help. */
export async function startHealthServer({
  listen,
  metrics,
  readiness,
  liveness = [],
}: {
  listen: HostPort
  metrics: Metrics
  readiness: readonly Check[]
  liveness?: readonly Check[]
}): Promise<HealthServer> {
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url?.split('?')[0]
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'text/plain', 'GET only\n')
    if (path === '/healthz') return sendReport(response, healthReport(liveness))
    if (path === '/readyz') return sendReport(response, healthReport(readiness))
    if (path === '/metrics') {
      return send(response, 200, metrics.registry.contentType, await metrics.registry.metrics())
    }
    return send(response, 404, 'text/plain', 'no such page\n')
  }
  const server = createServer((request, response) => {
    request.resume()
    answer(request, response).catch(error => response.destroy(error))
  })
  server.headersTimeout = 5_000
  server.requestTimeout = 10_000
  server.maxHeadersCount = 64
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(listen.port, listen.host, resolve)
  })
  const { address, port } = server.address() as AddressInfo
  return {
    address: formatHostPort({ host: address, port }),
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function sendReport(response: ServerResponse, report: HealthReport): void {
  send(response, report.status === 'ok' ? 200 : 503, 'application/json', `${JSON.stringify(report)}\n`)
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body)
}
