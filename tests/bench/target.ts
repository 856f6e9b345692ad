/** The service behind both chains: sends bytes (`D <n>`), swallows bytes (`U <n>`), or echoes (`E`). Run as a process of its own. */
import { createServer } from 'node:net'

const block = Buffer.alloc(256 * 1024, 'sallyport')

createServer({ noDelay: true }, socket => {
  socket.on('error', () => socket.destroy())
  socket.once('data', first => {
    const end = first.indexOf('\n')
    const [verb, amount] = first.subarray(0, end).toString().split(' ')
    const rest = first.subarray(end + 1)
    if (verb === 'D') return send(Number(amount))
    if (verb === 'U') return swallow(Number(amount), rest)
    if (rest.length > 0) socket.write(rest)
    socket.pipe(socket)
  })

  function send(bytes: number) {
    let left = bytes
    const more = () => {
      while (left > 0) {
        const chunk = left < block.length ? block.subarray(0, left) : block
        left -= chunk.length
        if (!socket.write(chunk)) return void socket.once('drain', more)
      }
      socket.end()
    }
    more()
  }

  function swallow(bytes: number, rest: Buffer) {
    let left = bytes - rest.length
    const done = () => left <= 0 && socket.end('k')
    socket.on('data', chunk => {
      left -= chunk.length
      done()
    })
    done()
  }
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'))
