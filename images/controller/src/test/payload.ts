/** Claims of a compact JWS, unverified: to look at what was signed. */
export function claimsOf<T>(jwt: string): T {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as T
}
