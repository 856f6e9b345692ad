import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { type Dialect, SqliteDialect, type SqliteStatement } from 'kysely'

/** Most prepared statements that are kept. */
const MAX_STATEMENTS = 512

/**
 * Kysely's dialect over `node:sqlite`. `synchronous=FULL`: what a transaction acknowledged survives the process and the machine.
 * Foreign keys are not used; every table stands by its tenant. Throws Error when the file cannot be opened.
 */
export function sqliteDialect(path: string): Dialect {
  const database = openFile(path)
  database.exec('pragma journal_mode = wal; pragma synchronous = full; pragma busy_timeout = 5000')
  const kept = new Map<string, SqliteStatement>()
  return new SqliteDialect({
    database: {
      close: () => database.close(),
      prepare: sql => {
        const known = kept.get(sql)
        if (known !== undefined) return known
        if (kept.size >= MAX_STATEMENTS) kept.clear()
        const made = adapt(database.prepare(sql))
        kept.set(sql, made)
        return made
      },
    },
  })
}

/** Opens a file of the database at `path`. Throws Error that says what is missing. */
export function openFile(path: string, suffix = ''): DatabaseSync {
  try {
    return new DatabaseSync(`${path}${suffix}`)
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    const user = process.getuid?.()
    const whose = user === undefined ? 'this process' : `user ${user}`
    throw new Error(
      `database.path ${path}: ${detail}; its directory must exist and ${whose} must be able to write to it`,
      {
        cause,
      },
    )
  }
}

function adapt(statement: StatementSync): SqliteStatement {
  // The query compiler makes parameters of strings, numbers, bigints, bytes and null only: what the tables' types allow.
  const bound = (parameters: readonly unknown[]) => parameters as readonly SQLInputValue[]
  return {
    reader: statement.columns().length > 0,
    all: parameters => statement.all(...bound(parameters)),
    run: parameters => statement.run(...bound(parameters)),
    iterate: parameters => statement.iterate(...bound(parameters)),
  }
}
