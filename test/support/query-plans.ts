import { existsSync } from 'node:fs'
import Database from 'better-sqlite3'
import { onTestFinished, vi } from 'vitest'

/** What the product does with its database files from when this was made until the test ends. */
export interface WatchedStatements {
  /** Prepared so far, by file. */
  readonly prepared: ReadonlyMap<string, ReadonlySet<string>>
  /** Answered with rows, in order; emptied by whoever wants to look at what comes next. */
  readonly ran: string[]
}

export function watchStatements(): WatchedStatements {
  const prepared = new Map<string, Set<string>>()
  const ran: string[] = []
  const original = Database.prototype.prepare
  const spy = vi.spyOn(Database.prototype, 'prepare')
  spy.mockImplementation(function (this: Database.Database, text: string) {
    const statement = original.call(this, text) as Database.Statement
    if (text.startsWith('explain')) return statement as never
    prepared.set(this.name, (prepared.get(this.name) ?? new Set()).add(text))
    const all = statement.all
    statement.all = (...parameters: unknown[]) => {
      ran.push(text)
      return all.apply(statement, parameters)
    }
    return statement as never
  })
  onTestFinished(() => spy.mockRestore())
  return { prepared, ran }
}

export interface Planned {
  statement: string
  plan: string[]
}

/** What SQLite would do for each of these statements on this file. */
export function explain(file: string, statements: Iterable<string>): Planned[] {
  const db = new Database(file, { readonly: true })
  const plans = [...statements]
    .filter((statement) => /^\s*(select|update|delete|insert|with)\b/i.test(statement))
    .map((statement) => {
      const parameters = Array(statement.split('?').length - 1).fill('x')
      const rows = db.prepare(`explain query plan ${statement}`).all(...parameters) as { detail: string }[]
      return { statement, plan: rows.map(({ detail }) => detail) }
    })
  db.close()
  return plans
}

/** What SQLite would do for each statement that was prepared on files of this name. */
export function plansOf({ prepared }: WatchedStatements, fileName: string): Planned[] {
  return [...prepared]
    .filter(([file]) => file.endsWith(fileName) && existsSync(file)) // a purged tenant's is gone
    .flatMap(([file, statements]) => explain(file, statements))
}

// A row or two each, or read only while migrating or at bootstrap.
const SMALL = /^SCAN (t|tenant|admin_keys|sqlite_master|kysely_migration\w*)$/
// `found` are the rows of a subquery in `from`, whose own reading is a step of its own.
const NO_TABLE = /^SCAN (CONSTANT ROW|\d+-ROW VALUES CLAUSE|found)$/

export const isWholeTable = (step: string): boolean =>
  /^SCAN /.test(step) && !/ USING (COVERING )?INDEX /.test(step) && !NO_TABLE.test(step) && !SMALL.test(step)

export const isSorted = ({ plan }: Planned): boolean => plan.some((step) => step.includes('TEMP B-TREE'))

/** A page of a list, however it is filtered. */
export const isPage = (statement: string): boolean => statement.includes('order by "created_at" desc, "id" desc')
