import { describe, expect, it } from 'vitest'
import { AclReceiver } from './acl-transfer.ts'
import { MAX_ACL_BYTES } from './limit.ts'

/** Body of an ACL frame. */
function pieceOf(offset: number, total: number, bytes: Uint8Array): Uint8Array {
  const body = new Uint8Array(8 + bytes.length)
  const view = new DataView(body.buffer)
  view.setUint32(0, offset)
  view.setUint32(4, total)
  body.set(bytes, 8)
  return body
}

describe('an ACL on its way in', () => {
  it('takes memory for what has come, not for what was announced', () => {
    const announced = pieceOf(0, MAX_ACL_BYTES, Uint8Array.of(1))
    const receivers = Array.from({ length: 64 }, () => new AclReceiver())
    const before = process.memoryUsage().arrayBuffers
    for (const receiver of receivers) expect(receiver.receive(announced)).toBeUndefined()
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MAX_ACL_BYTES)
  })

  it('is whole at its last piece, whatever the sizes', () => {
    const acl = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251)
    const receiver = new AclReceiver()
    let whole: Uint8Array | undefined
    for (let offset = 0, size = 1; offset < acl.length; offset += size, size = (size * 7) % 4096) {
      expect(whole).toBeUndefined()
      size = Math.max(1, size)
      whole = receiver.receive(pieceOf(offset, acl.length, acl.subarray(offset, offset + size)))
    }
    expect(whole).toEqual(acl)
  })

  it('that begins anew forgets the one before', () => {
    const receiver = new AclReceiver()
    receiver.receive(pieceOf(0, 9, Uint8Array.of(9, 9)))
    expect(receiver.receive(pieceOf(0, 2, Uint8Array.of(1, 2)))).toEqual(Uint8Array.of(1, 2))
    expect(() => receiver.receive(pieceOf(2, 9, Uint8Array.of(9)))).toThrow('ACL piece')
  })
})
