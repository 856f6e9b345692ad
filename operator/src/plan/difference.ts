/** Amounts that Kubernetes writes in its own way: `0.1` and `100m` are one. */
const QUANTITY_PATH = /(^|\.)(requests|limits)\.[^.]+$/
/** Lists that are sets or maps to the API server: what others have put into them stays, whatever is applied. */
const SET_PATH = /^spec\.aliases$/
/** Members that together tell the items of a list apart, as they do to the API server; in all other lists the order does. */
const KEYS = [['name'], ['group'], ['mountPath'], ['topologyKey', 'whenUnsatisfiable']]
const FACTORS: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

/**
 * Whether `live` lacks something that `wanted` says. What others have added to it, and what the API server filled in, counts for nothing; nor does
 * an empty list or object, which the API server leaves out.
 */
export function differs(wanted: unknown, live: unknown, path = ''): boolean {
  if (live === undefined && isEmpty(wanted)) return false
  if (Array.isArray(wanted)) {
    if (!Array.isArray(live)) return true
    if (SET_PATH.test(path)) return wanted.some(item => !live.includes(item))
    const key = KEYS.find(names => wanted.every(item => names.every(name => typeof memberOf(item, name) === 'string')))
    if (key === undefined && live.length !== wanted.length) return true
    return wanted.some((item, index) => {
      const isSame = (one: unknown) => key?.every(name => memberOf(one, name) === memberOf(item, name))
      const match = key === undefined ? live[index] : live.find(isSame)
      return differs(item, match, `${path}.${index}`)
    })
  }
  if (wanted !== null && typeof wanted === 'object') {
    if (live === null || typeof live !== 'object' || Array.isArray(live)) return true
    // Both are records here.
    const members = live as Record<string, unknown>
    return Object.entries(wanted).some(
      ([name, member]) =>
        member !== undefined && differs(member, members[name], path === '' ? name : `${path}.${name}`),
    )
  }
  if (wanted === live) return false
  return !(QUANTITY_PATH.test(path) && amount(wanted) !== undefined && amount(wanted) === amount(live))
}

const memberOf = (item: unknown, name: string): unknown =>
  item !== null && typeof item === 'object' ? (item as Record<string, unknown>)[name] : undefined

const isEmpty = (wanted: unknown) =>
  wanted !== null && typeof wanted === 'object' && Object.values(wanted).every(member => member === undefined)

function amount(quantity: unknown): number | undefined {
  const [, number, unit] = /^([0-9.]+(?:[eE][-+]?[0-9]+)?)(n|u|m|k|[MGTPE]|[KMGTPE]i|)$/.exec(String(quantity)) ?? []
  return number === undefined ? undefined : Number((Number(number) * FACTORS[unit!]!).toPrecision(12))
}
