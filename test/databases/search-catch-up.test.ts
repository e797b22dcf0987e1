import type { Kysely, KyselyPlugin } from 'kysely'
import { expect, test } from 'vitest'
import { type Migrations, migrate } from '#kit/db/migrate.ts'
import { wordsOf } from '#kit/db/search.ts'
import { controlMigrations } from '#migrations/control/index.ts'
import { tenantMigrations } from '#migrations/tenant/index.ts'
import { BACKENDS, openDatabase } from './backends.ts'

type AnyTables = Record<string, Record<string, string | number | null>>

const AT = '2026-01-01T00:00:00.000Z'
const idOf = (n: number) => `id-${String(n * 7919 + 1).padStart(9, '0')}`
const textOf = (n: number) => `Report r${n} ${Array.from({ length: 40 }, (_, i) => `word${i}`).join(' ')}`

/** How many statements there were, and how many rows the largest answer had. */
function counter() {
  const seen = { statements: 0, mostRows: 0 }
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      seen.statements += 1
      seen.mostRows = Math.max(seen.mostRows, result.rows.length)
      return result
    },
  }
  return { seen, plugin }
}

/** Migrates up to this one, fills in, and runs this one under count. */
async function migrateAlone(
  db: Kysely<AnyTables>,
  migrations: Migrations,
  name: string,
  fillIn: () => Promise<unknown>,
) {
  const before = Object.fromEntries(Object.entries(migrations).filter(([other]) => other < name))
  await migrate(db as Kysely<unknown>, before)
  await fillIn()
  const { seen, plugin } = counter()
  await migrations[name]?.up(db.withPlugin(plugin) as never)
  return seen
}

async function insertEach(db: Kysely<AnyTables>, table: string, rows: AnyTables[string][]): Promise<void> {
  for (const row of rows) await db.insertInto(table).values(row).execute()
}

async function wordsIn(db: Kysely<AnyTables>, kind: string): Promise<Map<string, string[]>> {
  const rows = await db.selectFrom('search_words').select(['subject_id', 'word']).where('kind', '=', kind).execute()
  const words = new Map<string, string[]>()
  for (const { subject_id, word } of rows) {
    words.set(`${subject_id}`, [...(words.get(`${subject_id}`) ?? []), `${word}`])
  }
  return words
}

const MANY = Array.from({ length: 450 }, (_, n) => n)

test.each(BACKENDS)('what a tenant has written before it could be searched is found, $name', async ({ open }) => {
  const db = openDatabase<AnyTables>(open())
  const times = { created_at: AT, updated_at: AT }
  const seen = await migrateAlone(db, tenantMigrations, '0008_search', async () => {
    const dag = { status: 'success', params: '{}', clarifications: '[]', planning_attempts: '[]', ...times }
    const dags = MANY.map((n) => ({ id: idOf(n), title: `Title t${n}`, goal_text: textOf(n), ...dag }))
    await insertEach(db, 'dags', dags)
    const agent = { version: '1', system_prompt: 'x', is_active: 0, metadata: '{}', ...times }
    await insertEach(db, 'agents', [
      { id: 'agent-1', name: 'writer', description: null, ...agent },
      { id: 'agent-2', name: 'reader', description: 'Reads books', ...agent },
    ])
    const user = { role: 'admin', status: 'active', ...times }
    await insertEach(db, 'users', [{ id: 'user-1', name: 'Ada', email: 'ada@acme.test', ...user }])
  })

  const dags = await wordsIn(db, 'dag')
  expect(dags.size).toBe(MANY.length)
  for (const n of MANY) {
    expect(dags.get(idOf(n))?.toSorted()).toEqual(wordsOf(`Title t${n} ${textOf(n)}`).toSorted())
  }
  expect((await wordsIn(db, 'agent')).get('agent-1')).toEqual(['writer'])
  expect((await wordsIn(db, 'agent')).get('agent-2')?.toSorted()).toEqual(['books', 'reader', 'reads'])
  expect((await wordsIn(db, 'user')).get('user-1')?.toSorted()).toEqual(['acme', 'ada', 'test'])
  // Neither every goal in memory nor a statement for every word.
  expect(seen.mostRows).toBe(200)
  expect(seen.statements).toBeLessThan((MANY.length * 44) / 25)
})

test.each(BACKENDS)(
  'tenants made before they could be searched are found and get invoices, $name',
  async ({ open }) => {
    const db = openDatabase<AnyTables>(open())
    const seen = await migrateAlone(db, controlMigrations, '0002_administration', () => {
      const tenant = { status: 'active', plan: 'free', quotas: '{}', created_at: AT, updated_at: AT }
      const tenants = MANY.map((n) => ({ id: idOf(n), name: textOf(n), slug: `slug-${n}`, ...tenant }))
      return insertEach(db, 'tenants', tenants)
    })

    const tenants = await wordsIn(db, 'tenant')
    for (const n of MANY) expect(tenants.get(idOf(n))?.toSorted()).toEqual(wordsOf(`${textOf(n)} slug-${n}`).toSorted())
    const due = await db.selectFrom('due_work').select('tenant_id').where('kind', '=', 'invoice').execute()
    expect(due.map(({ tenant_id }) => tenant_id).toSorted()).toEqual(MANY.map(idOf).toSorted())
    expect(seen.mostRows).toBe(200)
    expect(seen.statements).toBeLessThan((MANY.length * 45) / 20)
  },
)
