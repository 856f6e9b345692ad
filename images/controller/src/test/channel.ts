/** Control channels to the Controller of a test. */

import { type ChannelState, ControlChannel, channelUrl, type MessageParser, messageParser } from '@sallyport/runtime'
import { eventually } from '@sallyport/testkit'
import type { CertificateAuthority } from '@sallyport/trust'

/** What everyone stands on who speaks to the Controller of a test. */
export type Ground = { url: string; ca: CertificateAuthority; closers: (() => Promise<unknown>)[]; now: () => number }

/** A control channel, and all that has come by it. */
export function openChannel<I extends { type: string }, O extends { type: string }>(
  { url, ca, closers, now }: Ground,
  path: string,
  union: Parameters<typeof messageParser>[0],
  by: { token: string } | { headers: () => Promise<Record<string, string>> },
) {
  const messages: I[] = []
  const states: ChannelState[] = []
  const hear: ((message: I) => void)[] = []
  const channel = new ControlChannel<I, O>({
    url: () => channelUrl(url, path),
    ca: () => ca.certificatePem,
    headers: 'token' in by ? async () => ({ authorization: `Bearer ${by.token}` }) : by.headers,
    incoming: messageParser(union) as MessageParser<I>, // I is the union's type.
    // A Connector's says more than the others', which ignore what they do not know.
    heartbeat: () => ({ type: 'heartbeat', nowMs: now(), ready: true, relays: [] }) as unknown as O,
    onMessage: message => {
      messages.push(message)
      for (const listener of hear) listener(message)
    },
    onState: state => states.push(state),
  })
  closers.push(() => channel.close())
  const of = <T extends I['type']>(type: T) =>
    messages.filter(message => message.type === type) as Extract<I, { type: T }>[]
  return {
    channel,
    messages,
    states,
    of,
    onMessage: (listener: (message: I) => void) => hear.push(listener),
    /** Waits for the first message after the first `from` that fits. */
    next: <T extends I['type']>(type: T, fits: (message: Extract<I, { type: T }>) => boolean = () => true, from = 0) =>
      eventually(`message ${type}`, () =>
        (messages.slice(from) as Extract<I, { type: T }>[]).find(message => message.type === type && fits(message)),
      ),
    /** Waits until the channel has been refused; its end. */
    refused: () =>
      eventually('a refusal', () => {
        const down = states.find(state => state.kind === 'down')
        return down?.kind === 'down' ? down.end : undefined
      }),
    closed: () => eventually('the end of the channel', () => states.some(state => state.kind === 'down')),
  }
}
