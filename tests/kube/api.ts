import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { API_VERSION, KIND_TABLE, type Kind } from '@sallyport/schema'
import { parse } from 'yaml'

/** Requests at a time over one connection pool. */
const MAX_SOCKETS = 16
const TIMEOUT_MS = 60_000

/** What the API server has answered; `body` is parsed JSON. */
// biome-ignore lint/suspicious/noExplicitAny: answers of any resource are read in tests only.
export type Answer = { status: number; body: any }

/** The API server by plain HTTPS, for what would be slow through one kubectl per request. */
export type Api = {
  request(method: string, path: string, body?: object, headers?: Record<string, string>): Promise<Answer>
  /** As {@link request}; throws what the server said where it did not take it. */
  take(method: string, path: string, body?: object, headers?: Record<string, string>): Promise<Answer['body']>
  close(): void
}

/** The API server as the user of a kubeconfig. */
export function openApi(kubeconfig: string): Api {
  const { clusters, users } = parse(readFileSync(kubeconfig, 'utf8'))
  const { server, 'certificate-authority-data': ca } = clusters[0].cluster
  const { 'client-certificate-data': cert, 'client-key-data': key, token } = users[0].user
  const decode = (text: string | undefined) => (text === undefined ? undefined : Buffer.from(text, 'base64'))
  const tls = { ca: decode(ca), cert: decode(cert), key: decode(key) }
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, ...tls })
  const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }

  const send: Api['request'] = (method, path, body, headers = {}) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const content = text === undefined ? {} : { 'content-type': 'application/json' }
      const options = { method, agent, timeout: TIMEOUT_MS, headers: { ...content, ...authorization, ...headers } }
      const sent = request(new URL(path, server), options, answer => {
        const chunks: Buffer[] = []
        answer.on('data', chunk => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const said = Buffer.concat(chunks).toString()
          const isJson = answer.headers['content-type']?.startsWith('application/json')
          resolve({ status: answer.statusCode ?? 0, body: isJson ? JSON.parse(said) : said })
        })
      })
      sent.on('timeout', () => sent.destroy(new Error(`no answer to ${method} ${path}`)))
      sent.on('error', reject)
      sent.end(text)
    })
  return {
    request: send,
    take: async (method, path, body, headers) => {
      const answer = await send(method, path, body, headers)
      if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.body?.message}`)
      return answer.body
    },
    close: () => agent.destroy(),
  }
}

const GROUPS: Record<string, string> = {
  Deployment: '/apis/apps/v1',
  Lease: '/apis/coordination.k8s.io/v1',
  PodDisruptionBudget: '/apis/policy/v1',
  ReplicaSet: '/apis/apps/v1',
}
const CORE = '/api/v1'

/** Path of the objects of a kind in a namespace, or of the one that is named. */
export function pathOf(kind: string, namespace: string, name?: string): string {
  const isOwn = kind in KIND_TABLE
  const group = isOwn ? `/apis/${API_VERSION}` : (GROUPS[kind] ?? CORE)
  const plural = isOwn ? KIND_TABLE[kind as Kind].plural : `${kind.toLowerCase()}s`
  const all = `${group}/namespaces/${namespace}/${plural}`
  return name === undefined ? all : `${all}/${name}`
}
