/** Requests to the Controller of a test. */
import { request } from 'node:https'

/** Answer to a request, its body read as JSON where it is. */
export type Answer = { status: number; body: Record<string, unknown>; text: string; headers: Record<string, unknown> }

export type CallOptions = { headers?: Record<string, string>; body?: unknown }
export type Call = (method: string, path: string, options?: CallOptions) => Promise<Answer>

/** Sends one request on a connection of its own, trusting that CA only. */
export function send(
  url: string,
  ca: string,
  method: string,
  headers: Record<string, string>,
  body: unknown,
): Promise<Answer> {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method,
        ca,
        agent: false,
        headers: { ...(text !== undefined && { 'content-type': 'application/json' }), ...headers },
      },
      response => {
        let received = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          received += chunk
        })
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            text: received,
            headers: response.headers,
            body: received.startsWith('{') ? JSON.parse(received) : {},
          }),
        )
        response.on('error', reject)
      },
    )
    sent.on('error', reject)
    sent.end(text)
  })
}
