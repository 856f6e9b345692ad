import { type RandomBytes, sha256, toBase64Url } from '@sallyport/trust'
import { MAX_IDLE_SOCKETS, SLOT_KEY_BYTES, SLOT_KEY_LIFE_MS, slotKeyToText } from '@sallyport/wire'

type Slot<O> = { owner: O; untilMs: number }

/** Keys with which Connectors offer data sockets: 128 bit, for one socket, for 30 s. Kept as hashes. */
export class SlotBook<O> {
  readonly #slots = new Map<string, Slot<O>>()
  readonly #byOwner = new Map<O, Set<string>>()
  readonly #random: RandomBytes

  constructor(random: RandomBytes) {
    this.#random = random
  }

  /** Keys that are out. */
  get size(): number {
    return this.#slots.size
  }

  /** Makes up to `count` keys for `owner`; fewer when as many are out as it may have sockets. */
  issue(owner: O, count: number, nowMs: number): string[] {
    const own = this.#byOwner.get(owner) ?? new Set()
    this.#byOwner.set(owner, own)
    for (const hash of own) if (nowMs >= this.#slots.get(hash)!.untilMs) this.#delete(hash, own)
    const keys: string[] = []
    while (keys.length < count && own.size < MAX_IDLE_SOCKETS) {
      const key = slotKeyToText(this.#random(SLOT_KEY_BYTES))
      const hash = hashOf(key)
      own.add(hash)
      this.#slots.set(hash, { owner, untilMs: nowMs + SLOT_KEY_LIFE_MS })
      keys.push(key)
    }
    return keys
  }

  /** Whose key this is, which is void from here on; undefined for a key that is unknown, used or expired. */
  take(key: string, nowMs: number): O | undefined {
    const hash = hashOf(key)
    const slot = this.#slots.get(hash)
    if (slot === undefined) return undefined
    this.#delete(hash, this.#byOwner.get(slot.owner)!)
    return nowMs < slot.untilMs ? slot.owner : undefined
  }

  /** Makes all keys of `owner` void. */
  forget(owner: O): void {
    for (const hash of this.#byOwner.get(owner) ?? []) this.#slots.delete(hash)
    this.#byOwner.delete(owner)
  }

  #delete(hash: string, own: Set<string>): void {
    this.#slots.delete(hash)
    own.delete(hash)
  }
}

/** A hash is looked up, so that the time it takes tells nothing of the keys that are out. */
function hashOf(key: string): string {
  return toBase64Url(sha256(key))
}
