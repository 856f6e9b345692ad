import { ClientError, clientErrors } from '../error.ts'

/** Where a verb writes. */
export type Output = { json: boolean; write(text: string): void; complain(text: string): void }

/** Writes `value` as one line of JSON, or `text` for people. */
export function show({ json, write }: Output, value: unknown, text: string): void {
  write(json ? lineOf(value) : text === '' ? '' : `${printable(text)}\n`)
}

/** Says what went wrong and what to do; the answer is the exit code. */
export function explainFailure(error: unknown, { json, write, complain }: Output): number {
  const failure = error instanceof ClientError ? error : new ClientError('failed', messageOf(error))
  const { code, message, hint } = failure
  if (json) write(lineOf({ error: code, message, hint }))
  else complain(printable(`sallyport: ${message}\n  ${hint}\n`))
  return clientErrors[code].exit
}

/** Columns of text, as wide as they need to be. */
export function table(head: string[], rows: string[][]): string {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map(row => row[column]?.length ?? 0)))
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(head), ...rows.map(line)].join('\n')
}

/** A time for people: how far from `nowMs`, in the largest unit that fits. */
export function relativeTime(atMs: number, nowMs: number): string {
  const seconds = Math.round((atMs - nowMs) / 1000)
  const away = Math.abs(seconds)
  const [size, unit] =
    away >= 86_400 ? [86_400, 'd'] : away >= 3_600 ? [3_600, 'h'] : away >= 60 ? [60, 'min'] : [1, 's']
  const text = `${Math.round(away / Number(size))} ${unit}`
  return seconds >= 0 ? `in ${text}` : `${text} ago`
}

/** Much of what is shown others have named: nothing of it may steer the terminal. */
const printable = (text: string) => text.replace(/[^\P{Cc}\n]/gu, '?')
const lineOf = (value: unknown) =>
  `${JSON.stringify(value).replace(/[\x7f-\x9f]/g, character => `\\u00${character.charCodeAt(0).toString(16)}`)}\n`
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
