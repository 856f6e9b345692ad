import { WireError } from './error.ts'
import { FrameDecoder, FrameType } from './frame.ts'
import { type Hello, parseHello } from './hello.ts'

/** Reads the HELLO with which a carrier begins, and leaves what follows for the session that it is for. */
export class HelloReader {
  #hello: Hello | undefined
  readonly #decoder: FrameDecoder

  constructor() {
    this.#decoder = new FrameDecoder({
      frame: (type, _stream, body) => {
        if (type !== FrameType.Hello) throw new WireError('unexpected_frame', `frame of type ${type} before HELLO`)
        this.#hello = parseHello(body)
        this.#decoder.stop()
      },
      beginData: () => {
        throw new WireError('unexpected_frame', 'DATA before HELLO')
      },
      data() {},
      endData() {},
    })
  }

  /** Takes a chunk. Returns HELLO and the bytes behind it as soon as it is whole. Throws WireError. */
  push(chunk: Uint8Array): { hello: Hello; rest: Uint8Array } | undefined {
    const read = this.#decoder.push(chunk)
    return this.#hello === undefined ? undefined : { hello: this.#hello, rest: chunk.subarray(read) }
  }
}
