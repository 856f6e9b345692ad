import type { ResourceBody } from '@sallyport/schema'
import type { Kysely } from 'kysely'
import type { Migration, MigrationProvider } from 'kysely/migration'
import { entryBytes } from '../state/map-entry.ts'
import { type Database, readJson } from './database.ts'

type Table = { columns: string; primaryKey: string; indexes?: string[]; unique?: string[] }

/** `name` text; `name:int`; `name?` may be null. */
const FIRST: Record<string, Table> = {
  tenants: { columns: 'name revision:int floored_revision:int created_at_ms:int', primaryKey: 'name' },
  signing_keys: {
    columns: 'tenant purpose kid sealed_key public_jwk created_at_ms:int active_at_ms:int retired_at_ms?:int',
    primaryKey: 'tenant kid',
  },
  authorities: {
    columns: 'tenant id certificate sealed_key created_at_ms:int retired_at_ms?:int',
    primaryKey: 'tenant id',
  },
  declared: {
    columns: 'tenant uid kind source digest body revision:int programming?',
    primaryKey: 'tenant uid',
    unique: ['uid'],
    indexes: ['tenant source'],
  },
  slots: { columns: 'tenant uid blocked:int conflict_at_ms?:int', primaryKey: 'tenant uid' },
  connector_keys: {
    columns:
      'tenant connector_id slot public_jwk jkt pin enrolled_at_ms:int version host draining_at_ms?:int occupied:int',
    primaryKey: 'tenant connector_id',
    indexes: ['tenant slot'],
  },
  enrolment_tokens: {
    columns: 'tenant id slot hash created_at_ms:int expires_at_ms:int used_at_ms?:int used_by?',
    primaryKey: 'tenant id',
    indexes: ['tenant slot'],
    unique: ['hash'],
  },
  relay_keys: {
    columns: 'tenant relay id sealed_key created_at_ms:int acknowledged_at_ms?:int active_at_ms?:int drop_at_ms?:int',
    primaryKey: 'tenant relay id',
  },
  users: {
    columns:
      'tenant id provider subject email email_verified:int groups blocked:int created_at_ms:int last_login_at_ms?:int',
    primaryKey: 'tenant id',
    unique: ['tenant provider subject'],
  },
  devices: {
    columns: 'tenant id user public_jwk jkt host platform version blocked:int created_at_ms:int last_seen_at_ms:int',
    primaryKey: 'tenant id',
    indexes: ['tenant user'],
  },
  logins: {
    columns:
      'tenant id user device started_at_ms:int ends_at_ms:int ended_at_ms?:int ended_reason? refresh_hash previous_refresh_hash? refresh_counter:int refreshed_at_ms:int',
    primaryKey: 'tenant id',
    indexes: ['tenant device', 'tenant user', 'tenant refresh_hash', 'tenant previous_refresh_hash'],
  },
  login_records: {
    columns: 'tenant kind id reference? payload expires_at_ms?:int',
    primaryKey: 'tenant kind id',
    indexes: ['tenant kind reference', 'expires_at_ms'],
  },
  floors: {
    columns: 'tenant network device rev:int until_ms:int',
    primaryKey: 'tenant network device',
    indexes: ['until_ms'],
  },
  access_log: {
    columns: 'tenant id at_ms:int event network connector user? device? resource? record',
    primaryKey: 'tenant id',
    indexes: ['tenant at_ms'],
  },
  audit: {
    columns: 'tenant seq:int at_ms:int actor action target before? after? previous_hash hash',
    primaryKey: 'tenant seq',
  },
}

async function createTables(db: Kysely<unknown>, tables: Record<string, Table>): Promise<void> {
  for (const [name, table] of Object.entries(tables)) {
    let creation = db.schema.createTable(name)
    for (const column of table.columns.split(' ')) {
      const [, label, optional, kind] = /^([a-z_]+)(\?)?(?::(int))?$/.exec(column) ?? []
      if (label === undefined) throw new Error(`column "${column}" of ${name} is not understood`)
      creation = creation.addColumn(label, kind === 'int' ? 'bigint' : 'text', built =>
        optional === undefined ? built.notNull() : built,
      )
    }
    creation = creation.addPrimaryKeyConstraint(`${name}_key`, table.primaryKey.split(' ') as never)
    for (const [index, columns] of (table.unique ?? []).entries())
      creation = creation.addUniqueConstraint(`${name}_unique_${index}`, columns.split(' ') as never)
    await creation.execute()
    for (const [index, columns] of (table.indexes ?? []).entries())
      await db.schema.createIndex(`${name}_index_${index}`).on(name).columns(columns.split(' ')).execute()
  }
}

/** Tells of each Resource how large it is, in an index that alone answers how large those of a network are. */
async function addResourceSizes(db: Kysely<Database>): Promise<void> {
  await db.schema.alterTable('declared').addColumn('network', 'text').execute()
  await db.schema
    .alterTable('declared')
    .addColumn('bytes', 'bigint', column => column.notNull().defaultTo(0))
    .execute()
  await db.schema.createIndex('declared_index_1').on('declared').columns(['tenant', 'network', 'bytes']).execute()
  const rows = await db
    .selectFrom('declared')
    .select(['tenant', 'uid', 'kind', 'body'])
    .where('kind', 'in', ['connector', 'resource'])
    .execute()
  for (const { tenant, uid, kind, body } of rows) {
    const declared = readJson<ResourceBody>(body)
    const bytes = kind === 'resource' ? entryBytes(declared) : 0
    await db
      .updateTable('declared')
      .set({ network: declared.network, bytes })
      .where('tenant', '=', tenant)
      .where('uid', '=', uid)
      .execute()
  }
}

const MIGRATIONS: Record<string, Migration> = {
  '0001-first-tables': { up: db => createTables(db as Kysely<unknown>, FIRST) },
  '0002-resource-sizes': { up: db => addResourceSizes(db as Kysely<Database>) },
}

/** The migrations in order. One that stands in a release never changes. */
export const migrations: MigrationProvider = { getMigrations: async () => MIGRATIONS }
