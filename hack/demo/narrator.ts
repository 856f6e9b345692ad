const started = performance.now()
const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined
const paint = (code: number, text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text)

export const bold = (text: string) => paint(1, text)
export const dim = (text: string) => paint(2, text)

/** What the demo found wrong so far. */
export const failures: string[] = []

/** Prints a heading with the time since the start. */
export function chapter(title: string) {
  console.log(`\n${bold(title)} ${dim(`[${((performance.now() - started) / 1000).toFixed(1)} s]`)}`)
}

/** Prints one thing that was seen. */
export function saw(text: string) {
  console.log(`  ${text}`)
}

/** Prints whether `claim` held, and keeps it when it did not. */
export function check(claim: string, held: boolean, detail = '') {
  const mark = held ? paint(32, 'ok') : paint(31, 'NO')
  console.log(`  ${mark}  ${claim}${detail === '' ? '' : dim(`  ${detail}`)}`)
  if (!held) failures.push(claim)
}

/** Time since `from` (of performance.now) for people: `12 ms`, `3.4 s`. */
export function since(from: number): string {
  const ms = performance.now() - from
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}
