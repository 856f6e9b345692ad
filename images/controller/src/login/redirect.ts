/** Longest redirect URI that is looked at. */
const MAX_REDIRECT = 200

/**
 * Parses a redirect URI of the Client: `http`, a loopback IP literal, any port, the path `/callback` and nothing else (RFC 8252,
 * section 7.3). Undefined for everything else; a name such as `localhost` may be resolved elsewhere and does not count.
 */
export function parseLoopbackRedirect(text: string): URL | undefined {
  if (text.length > MAX_REDIRECT) return undefined
  const match = /^http:\/\/(127\.0\.0\.1|\[::1\]):([1-9][0-9]{0,4})\/callback$/.exec(text)
  if (match === null || Number(match[2]) > 65_535) return undefined
  return new URL(text)
}

/** `redirect` with the members of an OAuth answer (RFC 6749, sections 4.1.2 and 4.1.2.1) that are given. */
export function answerTo(redirect: string, members: Record<string, string | undefined>): string {
  const url = new URL(redirect)
  for (const [name, value] of Object.entries(members)) {
    if (value !== undefined) url.searchParams.set(name, value)
  }
  return url.href
}
