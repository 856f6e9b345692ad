import { describe, expect, it } from 'vitest'
import { ClientError } from '../error.ts'
import { explainFailure, show } from './output.ts'

/** What others have named, with sequences that would rename the window and clear the screen. */
const HOSTILE = 'db\u001b]0;root\u0007\u001b[2J\u009b2K'

function output(json: boolean) {
  const said: string[] = []
  const keep = (text: string) => void said.push(text)
  return { said, out: { json, write: keep, complain: keep } }
}

describe('text for people', () => {
  it('lets no control character of others through to the terminal, but keeps its lines', () => {
    const { said, out } = output(false)
    show(out, {}, `NAME\n${HOSTILE}`)
    explainFailure(new ClientError('failed', HOSTILE), out)
    expect(said.join('')).toMatch(/^NAME\ndb\?\]0;root\?\?\[2J\?2K\n/)
    expect(said.join('').replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  })

  it('is another matter as JSON, which says everything as it is, in ASCII where it controls', () => {
    const { said, out } = output(true)
    show(out, { name: HOSTILE }, '')
    expect(JSON.parse(said[0] ?? '')).toEqual({ name: HOSTILE })
    expect(said[0]?.trimEnd()).not.toMatch(/\p{Cc}/u)
  })
})
