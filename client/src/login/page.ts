const STYLE =
  ':root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-items:center;font:16px/1.5 system-ui,sans-serif}main{max-width:26rem;padding:2rem}h1{font-size:1.3rem;margin:0 0 .5rem}p{margin:.5rem 0;opacity:.8}'

/** Shown in the browser when the login has ended well. */
export const donePage = (): string =>
  page('You are logged in', 'You can close this window and go back to the terminal.')

/** Shown in the browser when it has not. */
export const failedPage = (why: string): string => page('The login failed', why)

const page = (title: string, text: string) =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>${title} · Sallyport</title><style>${STYLE}</style></head><body><main><h1>${title}</h1><p>${escapeHtml(text)}</p></main></body></html>`

const escapeHtml = (text: string) => text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
