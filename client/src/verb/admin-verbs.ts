import { ClientError } from '../error.ts'
import type { LocalConfig } from '../local/config.ts'
import { connectDaemon } from '../local/connection.ts'
import { type Output, show, table } from './output.ts'

/** What an admin may do with each kind. */
export const ADMIN_ACTIONS = {
  users: ['list', 'block', 'unblock', 'cut'],
  devices: ['list', 'block', 'unblock', 'cut'],
  sessions: ['list', 'cut'],
  connectors: ['list', 'block', 'unblock', 'cut'],
  sources: ['remove'],
} as const
export type AdminKind = keyof typeof ADMIN_ACTIONS
type Listed = Exclude<AdminKind, 'sources'>

/** Past tense of an action on one. */
export const DONE = { list: 'listed', block: 'blocked', unblock: 'unblocked', cut: 'cut', remove: 'removed' } as const
export type AdminAction = keyof typeof DONE

/** As the Controller names an operator's declarations. */
const SOURCE = /^[a-z0-9]([-a-z0-9./]{0,98}[a-z0-9])?$/

const COLUMNS: Record<Listed, string[]> = {
  users: ['id', 'email', 'provider', 'devices', 'admin', 'blocked', 'lastLoginAtMs'],
  devices: ['id', 'email', 'host', 'platform', 'version', 'connected', 'blocked'],
  sessions: ['id', 'email', 'device', 'connector', 'path', 'startedAtMs'],
  connectors: ['id', 'name', 'network', 'version', 'connected', 'ready', 'blocked', 'sessions'],
}
/** `sallyport admin KIND list`, `sallyport admin KIND block|unblock|cut ID` and `sallyport admin sources remove NAME`. */
export async function admin(
  config: LocalConfig,
  out: Output,
  kind: AdminKind,
  action: AdminAction,
  id: string | undefined,
): Promise<number> {
  if (kind === 'sources') return removeSource(config, out, id)
  if (action !== 'list' && (id === undefined || !/^[A-Za-z0-9_.-]{1,128}$/.test(id))) {
    throw new ClientError('usage', `${action} wants the ID of one of the ${kind}`, {
      hint: `See \`sallyport admin ${kind} list\`.`,
    })
  }
  const daemon = await connectDaemon(config.home)
  try {
    if (action === 'list') {
      daemon.send({ type: 'admin', method: 'GET', path: `/v1/admin/${kind}` })
      const { body } = await daemon.next('admin')
      const rows = rowsOf(body, kind)
      const columns = COLUMNS[kind]
      const text = table(
        columns.map(name => name.replace(/Ms$/, '').replace(/At$/, '').toUpperCase()),
        rows.map(row => columns.map(name => cell(name, row[name]))),
      )
      show(out, rows, rows.length === 0 ? `There are no ${kind}.` : text)
      return 0
    }
    daemon.send({ type: 'admin', method: 'POST', path: `/v1/admin/${kind}/${id}/${action}` })
    const { body } = await daemon.next('admin')
    show(out, body ?? { [DONE[action]]: id }, `${id} is ${DONE[action]}.`)
    return 0
  } finally {
    daemon.close()
  }
}

/** Removes what the operator of a cluster that is gone has declared. */
async function removeSource(config: LocalConfig, out: Output, source: string | undefined): Promise<number> {
  if (source === undefined || !SOURCE.test(source)) {
    throw new ClientError('usage', 'remove wants the name of a source', {
      hint: "It is NAMESPACE/RELEASE of the operator's chart where nothing else was chosen.",
    })
  }
  const daemon = await connectDaemon(config.home)
  try {
    daemon.send({ type: 'admin', method: 'DELETE', path: `/v1/sources/${encodeURIComponent(source)}` })
    const { body } = await daemon.next('admin')
    const removed = isRecord(body) ? body.removed : undefined
    show(out, body, `${removed} rows of ${source} are removed.`)
    return 0
  } finally {
    daemon.close()
  }
}

function rowsOf(body: unknown, kind: Listed): Record<string, unknown>[] {
  const list = Array.isArray(body) ? body : isRecord(body) ? (body[kind] ?? body.items) : undefined
  if (!Array.isArray(list)) throw new ClientError('controller_refused', 'the Controller sent no list')
  return list.filter(isRecord)
}

function cell(name: string, value: unknown): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'boolean') return value ? 'yes' : ''
  // Columns are for people: control characters in what others have named must not reach the terminal.
  if (name.endsWith('Ms') && typeof value === 'number') return new Date(value).toISOString().slice(0, 19)
  return String(value).replace(/\p{Cc}/gu, '?')
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
