import { createSocket } from 'node:dgram'
import { decode, encode, RECURSION_DESIRED } from 'dns-packet'

export type DnsServer = {
  /** `127.0.0.1:port`. */
  address: string
  /** Names and their addresses; may be changed while it runs. */
  records: Map<string, string[]>
  /** How often each name was asked for. */
  asked: Map<string, number>
  close(): Promise<void>
}

/** A resolver on loopback that knows `records` (A) and answers NXDOMAIN to all else. */
export async function startDnsServer(records: Record<string, string[]>): Promise<DnsServer> {
  const known = new Map(Object.entries(records))
  const asked = new Map<string, number>()
  const socket = createSocket('udp4')
  socket.on('message', (message, peer) => {
    const query = decode(message)
    const question = query.questions?.[0]
    if (question === undefined) return
    const name = question.name.toLowerCase()
    asked.set(name, (asked.get(name) ?? 0) + 1)
    const addresses = known.get(name)
    const rcode = addresses === undefined ? 3 : 0
    const answer = encode({
      type: 'response',
      id: query.id ?? 0,
      flags: RECURSION_DESIRED | rcode,
      questions: [question],
      answers:
        question.type === 'A'
          ? (addresses ?? []).map(data => ({ type: 'A' as const, name: question.name, ttl: 0, data }))
          : [],
    })
    socket.send(answer, peer.port, peer.address)
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind(0, '127.0.0.1', resolve)
  })
  return {
    address: `127.0.0.1:${socket.address().port}`,
    records: known,
    asked,
    close: () => new Promise(resolve => socket.close(() => resolve())),
  }
}
