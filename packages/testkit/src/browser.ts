import { request as plainRequest } from 'node:http'
import { request } from 'node:https'

/** Most redirects and forms that one visit follows. */
const MAX_STEPS = 20

type Page = { url: URL; status: number; body: string }

/**
 * A browser session in a script: keeps cookies, follows redirects, submits forms. It runs the real login pages over the real
 * TLS; only the person is missing.
 */
export class ScriptedBrowser {
  readonly #cookies = new Map<string, Map<string, string>>()
  readonly #ca: string

  constructor(ca: string) {
    this.#ca = ca
  }

  /** Opens `url` and submits, on each page, the form that `choose` picks by its text, until there is no form left. */
  async visit(
    url: string,
    choose: (page: { url: URL; body: string }, forms: Form[]) => Form | undefined,
  ): Promise<Page> {
    let page = await this.#follow(new URL(url), 'GET')
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const form = choose(page, formsOf(page))
      if (form === undefined) return page
      page = await this.#follow(form.action, form.method, form.fields)
    }
    throw new Error(`more than ${MAX_STEPS} forms after ${url}`)
  }

  async #follow(url: URL, method: string, fields?: URLSearchParams): Promise<Page> {
    let [at, how, body] = [url, method, fields]
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const answer = await this.#fetch(at, how, body)
      const location = answer.headers.location
      if (answer.status < 300 || answer.status >= 400 || location === undefined) {
        return { url: at, status: answer.status, body: answer.body }
      }
      at = new URL(location, at)
      if (answer.status !== 307 && answer.status !== 308) [how, body] = ['GET', undefined]
    }
    throw new Error(`more than ${MAX_STEPS} redirects from ${url}`)
  }

  #fetch(
    url: URL,
    method: string,
    fields?: URLSearchParams,
  ): Promise<{ status: number; headers: { location?: string | undefined }; body: string }> {
    const form = fields?.toString() ?? ''
    if (method === 'GET' && fields !== undefined) url.search = form
    const jar = this.#cookies.get(url.host) ?? new Map<string, string>()
    this.#cookies.set(url.host, jar)
    const headers: Record<string, string> = { accept: 'text/html' }
    if (jar.size > 0) headers.cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    if (method === 'POST') headers['content-type'] = 'application/x-www-form-urlencoded'
    if (method === 'POST') headers.origin = url.origin
    const send = url.protocol === 'https:' ? request : plainRequest
    return new Promise((resolve, reject) => {
      const sent = send(url, { method, headers, ca: this.#ca }, answer => {
        for (const line of answer.headers['set-cookie'] ?? []) keepCookie(jar, line)
        const chunks: Buffer[] = []
        answer.on('data', chunk => chunks.push(chunk))
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: { location: answer.headers.location },
            body: Buffer.concat(chunks).toString(),
          }),
        )
        answer.on('error', reject)
      })
      sent.on('error', reject)
      sent.end(method === 'POST' ? form : undefined)
    })
  }
}

function keepCookie(jar: Map<string, string>, line: string) {
  const [pair = '', ...attributes] = line.split(';')
  const at = pair.indexOf('=')
  const name = pair.slice(0, at).trim()
  const gone = attributes.some(
    attribute => /^\s*max-age=0\s*$/i.test(attribute) || /^\s*expires=.*\b1970\b/i.test(attribute),
  )
  if (gone) jar.delete(name)
  else jar.set(name, pair.slice(at + 1).trim())
}

export type Form = { action: URL; method: string; fields: URLSearchParams; text: string }

/** The forms of a page, each submit button's name and value as a form of its own. */
export function formsOf(page: { url: URL; body: string }): Form[] {
  return [...page.body.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].flatMap(([, head = '', inner = '']) => {
    const attribute = (tag: string, name: string) =>
      unescapeHtml(new RegExp(`\\b${name}="([^"]*)"`, 'i').exec(tag)?.[1] ?? '')
    const base = {
      action: new URL(attribute(head, 'action') || page.url.href, page.url),
      method: (attribute(head, 'method') || 'GET').toUpperCase(),
    }
    const inputs = [...inner.matchAll(/<input\b[^>]*>/gi)].map(([tag]) => tag)
    const fields = inputs
      .filter(tag => !/type="(submit|radio|checkbox)"/i.test(tag) || /\bchecked\b/i.test(tag))
      .map(tag => [attribute(tag, 'name'), attribute(tag, 'value')] as [string, string])
    const buttons = [...inner.matchAll(/<button\b([^>]*)>([\s\S]*?)<\/button>/gi)]
    const submits = buttons.length > 0 ? buttons : [['', '', inner]]
    return submits.map(([, tag = '', text = '']) => {
      const name = attribute(tag, 'name')
      const all = new URLSearchParams(name === '' ? fields : [...fields, [name, attribute(tag, 'value')]])
      return {
        ...base,
        fields: all,
        text: unescapeHtml(
          text
            .replace(/<[^>]*>/g, ' ')
            .replace(/\s+/g, ' ')
            .trim(),
        ),
      }
    })
  })
}

const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", '#x27': "'", '#x2F': '/' }
const unescapeHtml = (text: string) =>
  text.replace(/&(amp|lt|gt|quot|#39|#x27|#x2F);/g, (_, name: string) => ENTITIES[name] ?? '')
