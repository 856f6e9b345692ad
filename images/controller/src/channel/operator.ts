import { acceptControlChannel, messageParser } from '@sallyport/runtime'
import { FromOperator, type ToOperator } from '@sallyport/schema'
import { OperatorFeed } from '../feed/operator-feed.ts'
import type { Operator } from '../operator-auth.ts'
import type { ChannelDeps } from './connector.ts'
import type { Upgrade } from './upgrade.ts'

const incoming = messageParser(FromOperator)

/** Makes the handler of `wss /v1/operator`: shows an operator the rows of its source. */
export function operatorChannels(
  deps: ChannelDeps & { authenticateOperator(authorization: string | undefined): Promise<Operator> },
): (upgrade: Upgrade) => Promise<void> {
  return async ({ request, socket, head }) => {
    const { tenant, source } = await deps.authenticateOperator(request.headers.authorization)
    const { hub, keys } = deps.tenants.get(tenant)!
    await hub.caughtUp()
    const { clock } = deps
    let feed: OperatorFeed | undefined
    acceptControlChannel<FromOperator, ToOperator>(
      request,
      socket,
      head,
      {
        incoming,
        clock,
        heartbeat: () => ({ type: 'heartbeat', nowMs: clock.now() }),
        onMessage: () => undefined,
        onEnd: () => {
          if (feed !== undefined) hub.operators.delete(feed)
        },
      },
      channel => {
        const { state, presence } = hub
        feed = new OperatorFeed(source, { state, presence, keys, clock, sink: channel })
        feed.start()
        hub.operators.add(feed)
      },
    )
  }
}
