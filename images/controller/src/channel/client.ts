import { acceptControlChannel, messageParser, type ServerChannel } from '@sallyport/runtime'
import { FromClient, type ToClient } from '@sallyport/schema'
import { ClientFeed } from '../feed/client-feed.ts'
import { EMBEDDED_WARNING } from '../login/index.ts'
import type { AuthenticateClient, AuthenticatedClient } from '../login-seam.ts'
import type { UserRow } from '../store/index.ts'
import type { Tenant } from '../tenant.ts'
import type { ChannelDeps } from './connector.ts'
import type { Upgrade } from './upgrade.ts'

/** Control channels of one device at a time; the oldest makes room. */
const MAX_CHANNELS = 4

export type ClientChannelDeps = ChannelDeps & {
  url: string
  authenticate: AuthenticateClient
  isAdmin(tenant: string, user: UserRow): boolean
}

const incoming = messageParser(FromClient)

/** Makes the handler of `wss /v1/client`: verifies access token and proof, keeps the device up to date. */
export function clientChannels(deps: ClientChannelDeps): (upgrade: Upgrade) => Promise<void> {
  return async ({ request, socket, head, path }) => {
    const client = await deps.authenticate(request.headers, 'GET', `${deps.url}${path}`)
    const tenant = deps.tenants.get(client.tenant)!
    await tenant.hub.caughtUp()
    const { clock, supervisor } = deps
    let feed: ClientFeed | undefined
    let greeted = false
    acceptControlChannel<FromClient, ToClient>(
      request,
      socket,
      head,
      {
        incoming,
        clock,
        heartbeat: () => ({ type: 'heartbeat', nowMs: clock.now() }),
        onMessage: message => {
          if (message.type === 'applied' && feed !== undefined) feed.appliedRevision = message.revision
          if (message.type !== 'hello' || greeted) return
          greeted = true
          supervisor.run('client hello', noteDevice(deps, client, message))
        },
        onEnd: () => {
          if (feed !== undefined) leave(tenant, feed)
        },
      },
      channel => {
        feed = join(deps, tenant, client, channel)
      },
    )
  }
}

function join(
  deps: ClientChannelDeps,
  { hub, keys, config }: Tenant,
  client: AuthenticatedClient,
  sink: ServerChannel<ToClient>,
): ClientFeed {
  const { state, access, issuer } = hub
  const isEmbedded = config.identityProviders?.some(({ type }) => type === 'embedded') === true
  const person = { admin: deps.isAdmin(client.tenant, client.user), warnings: isEmbedded ? [EMBEDDED_WARNING] : [] }
  const { clock } = deps
  const feed = new ClientFeed(client.device.id, client.login.id, { state, access, issuer, keys, clock, sink, person })
  const feeds = hub.clients.get(client.device.id) ?? new Set()
  hub.clients.set(client.device.id, feeds.add(feed))
  const [oldest] = feeds
  if (feeds.size > MAX_CHANNELS && oldest !== undefined) {
    feeds.delete(oldest)
    oldest.replaced()
  }
  feed.start()
  return feed
}

function leave({ hub }: Tenant, feed: ClientFeed): void {
  feed.stop()
  const feeds = hub.clients.get(feed.device)
  feeds?.delete(feed)
  if (feeds?.size === 0) hub.clients.delete(feed.device)
}

async function noteDevice(
  { store, clock }: ClientChannelDeps,
  { tenant, device }: AuthenticatedClient,
  { version, platform, host }: { version: string; platform: string; host: string },
): Promise<void> {
  await store.db
    .updateTable('devices')
    .set({ version, platform, host, lastSeenAtMs: clock.now() })
    .where('tenant', '=', tenant)
    .where('id', '=', device.id)
    .execute()
}
