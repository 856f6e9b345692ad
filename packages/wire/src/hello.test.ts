import { describe, expect, it } from 'vitest'
import { FrameType } from './frame.ts'
import { encodeJson, parseHello } from './hello.ts'
import { HelloReader } from './hello-reader.ts'
import { codeOf, concat, data, frame, HELLO, open } from './session-lab.ts'

describe('HELLO', () => {
  it('ignores members that it does not know, and speaks the highest common version', () => {
    const hello = { ...HELLO, version: 7, later: true }
    expect(parseHello(encodeJson(hello))).toEqual(HELLO)
  })

  it('anything before it is refused', () => {
    expect(codeOf(() => new HelloReader().push(open(1)))).toBe('unexpected_frame')
    expect(codeOf(() => new HelloReader().push(data(1, 1)))).toBe('unexpected_frame')
  })

  it('leaves what follows', () => {
    const bytes = concat([frame(0, FrameType.Hello, [...encodeJson(HELLO)]), open(1)])
    const reader = new HelloReader()
    expect(reader.push(bytes.subarray(0, 20))).toBeUndefined()
    expect(reader.push(bytes.subarray(20))).toEqual({ hello: HELLO, rest: open(1) })
  })
})
