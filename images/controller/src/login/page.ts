import { createHash } from 'node:crypto'
import { LOGIN_ERRORS, type LoginErrorCode } from './error.ts'

const STYLE = `
:root{color-scheme:light dark;--ink:#16202b;--soft:#5b6875;--line:#d8dee5;--card:#fff;--back:#f3f5f8;--go:#0b62c4;--go-ink:#fff;--warn:#8a4b00;--warn-back:#fff3e0}
@media (prefers-color-scheme:dark){:root{--ink:#e7ecf2;--soft:#9aa7b5;--line:#303a46;--card:#1a212a;--back:#10151b;--go:#5aa9ff;--go-ink:#08131f;--warn:#ffc37a;--warn-back:#33260f}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{width:min(26rem,calc(100vw - 2rem));margin:2rem 0;padding:2rem;background:var(--card);border:1px solid var(--line);border-radius:12px}
header{display:flex;align-items:center;gap:.6rem;margin-bottom:1.25rem;color:var(--soft);font-weight:600;letter-spacing:.02em}
h1{font-size:1.3rem;line-height:1.3;margin:0 0 .5rem}
p{margin:.5rem 0}.soft{color:var(--soft);font-size:.9rem}
.warn{padding:.75rem 1rem;border-radius:8px;background:var(--warn-back);color:var(--warn);font-size:.9rem}
.choice{display:block;width:100%;margin-top:.6rem;padding:.75rem 1rem;border:1px solid var(--line);border-radius:8px;background:none;color:inherit;font:inherit;text-align:left;text-decoration:none;cursor:pointer}
.choice:hover,.choice:focus-visible{border-color:var(--go);outline:2px solid var(--go);outline-offset:-1px}
code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}`

const MARK =
  '<svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true"><path d="M3 20V9a8 8 0 0 1 16 0v11M8 20v-9a3 3 0 0 1 6 0v9" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"/></svg>'

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/**
 * Headers of every page: nothing is loaded, nothing runs, nobody frames it. A form may end at the loopback redirect of a Client, because
 * browsers hold `form-action` against the redirects behind it too; IPv6 addresses are no source of a policy (CSP 3, section 2.3.1).
 */
export const PAGE_HEADERS: Record<string, string> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action 'self' http://127.0.0.1:*; frame-ancestors 'none'; base-uri 'none'`,
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** Text made safe for HTML content and quoted attributes. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)

/** A choice between identity providers; each `href` goes on with one. */
export function providerPage(choices: { name: string; href: string }[]): string {
  const links = choices.map(
    ({ name, href }) => `<a class="choice" href="${escapeHtml(href)}">Go on with <b>${escapeHtml(name)}</b></a>`,
  )
  return page('Log in', `<h1>Log in</h1><p class="soft">Who may say that it is you?</p>${links.join('')}`)
}

/** Accounts of the embedded provider; choosing one is all there is to it. */
export function accountPage(
  action: string,
  accounts: { id: string; email: string; name?: string | undefined }[],
): string {
  const buttons = accounts.map(
    ({ id, email, name }) =>
      `<button class="choice" name="account" value="${escapeHtml(id)}">${name === undefined ? '' : `<b>${escapeHtml(name)}</b><br>`}${escapeHtml(email)}</button>`,
  )
  return page(
    'Choose an account',
    `<h1>Choose an account</h1>
<p class="warn" role="alert"><b>For trying out only.</b> This identity provider asks for no password: whoever opens this page may be anyone on it. Never use it for anything real.</p>
<form method="post" action="${escapeHtml(action)}">${buttons.join('')}</form>`,
  )
}

/** The page of a login that ended; `detail` says what was seen. */
export function errorPage(code: LoginErrorCode, detail: string): string {
  const { title, advice } = LOGIN_ERRORS[code]
  return page(
    title,
    `<h1>${escapeHtml(title)}</h1><p>${escapeHtml(advice).replace(/`([^`]+)`/g, '<code>$1</code>')}</p>
<p class="soft"><code>${escapeHtml(code)}</code>: ${escapeHtml(detail)}</p>`,
  )
}

function page(title: string, body: string): string {
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${escapeHtml(title)} · Sallyport</title><style>${STYLE}</style></head><body><main><header>${MARK}Sallyport</header>${body}</main></body></html>`
}
