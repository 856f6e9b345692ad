/** Wakes everyone who waits for the next change. */
export class Bell {
  readonly #waiting = new Set<() => void>()

  ring(): void {
    for (const wake of [...this.#waiting]) wake()
  }

  /** Resolves at the next ring; rejects with the reason of `signal`. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', onAbort)
        act()
      }
      const wake = () => settle(resolve)
      const onAbort = () => settle(() => reject(signal.reason))
      if (signal.aborted) return onAbort()
      this.#waiting.add(wake)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}
