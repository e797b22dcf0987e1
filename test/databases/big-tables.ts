import Database from 'better-sqlite3'

/** Rows in each list. */
export const ROWS = 100_000

const START = Date.parse('2026-01-01T00:00:00.000Z')
const at = (n: number) => new Date(START + n * 10_000).toISOString()
const oneOf = <T>(values: readonly T[], n: number) => values[n % values.length] as T

/** The id of the n-th row of its kind; ids of one kind follow on each other, so that inserting is quick. */
export function idOf(kind: string, n: number): string {
  return `${prefixOf(kind)}-0000-4000-8000-${n.toString(16).padStart(12, '0')}`
}

const prefixes = new Map<string, string>()
function prefixOf(kind: string): string {
  const known = prefixes.get(kind)
  if (known !== undefined) return known
  const sum = [...kind].reduce((total, letter) => (total * 31 + letter.charCodeAt(0)) >>> 0, 7)
  const prefix = sum.toString(16).padStart(8, '0')
  prefixes.set(kind, prefix)
  return prefix
}

/** More than an offset of 50,000 skips; were it most of them, reading the table would be the best there is. */
const isScheduled = (n: number) => n % 100 < 51

type Row = Record<string, string | number | null>

/** Fills what a tenant lists: half of the keys are this user's, the other half the tenant's. */
export function fillTenant(file: string, userId: string): void {
  fill(
    file,
    {
      agents: (n) => ({
        id: idOf('agent', n),
        name: `agent-${n % 1_000}`,
        version: `${n}`,
        description: 'one of many',
        system_prompt: 'x',
        is_active: n < 1_000 ? 1 : 0,
        metadata: '{}',
        ...times(n),
      }),
      dags: (n) => ({
        id: idOf('dag', n),
        title: `Row r${n}`,
        status: oneOf(['success', 'clarification_required', 'validation_error', 'failed'], n),
        goal_text: 'one of many',
        agent_name: oneOf([null, 'planner', 'agent-7'], n),
        agent_version: '1',
        params: '{}',
        clarifications: '[]',
        planning_attempts: '[]',
        ...times(n),
      }),
      schedules: (n) => ({
        id: isScheduled(n) ? idOf('dag', n) : idOf('schedule', n),
        dag_id: idOf('dag', n),
        is_of_dag: isScheduled(n) ? 1 : 0,
        cron_schedule: '@daily',
        timezone: 'UTC',
        is_active: n % 2,
        overlap_policy: 'skip',
        missed_run_policy: 'once',
        max_missed_runs: 1,
        ...times(n),
      }),
      schedule_occurrences: (n) => ({
        id: idOf('occurrence', n),
        schedule_id: idOf('dag', 1),
        scheduled_at: at(n),
        status: oneOf(['started', 'skipped', 'failed', 'started', 'started'], n),
        ...zeroes('missed_count', 'attempts'),
        ...times(n),
      }),
      executions: (n) => ({
        id: idOf('execution', n),
        dag_id: idOf('dag', n),
        dag_title: `Row r${n}`,
        original_request: 'one of many',
        primary_intent: 'x',
        synthesis_plan: 'x',
        params: '{}',
        status: oneOf(['completed', 'failed', 'partial', 'cancelled', 'suspended'], n),
        ...zeroes('total_tasks', 'completed_tasks', 'failed_tasks', 'waiting_tasks', 'skipped_tasks', 'retry_count'),
        ...zeroes('last_event_seq', 'crash_count', 'prompt_tokens', 'completion_tokens', 'cached_tokens'),
        ...zeroes('cost_usd_micros', 'unpriced_calls'),
        ...times(n),
      }),
      users: (n) => ({
        id: idOf('user', n),
        email: `row${n}@example.test`,
        name: `Row r${n}`,
        role: oneOf(['admin', 'member', 'viewer'], n),
        status: oneOf(['invited', 'active', 'active', 'removed'], n),
        ...times(n),
      }),
      api_keys: (n) => ({
        id: idOf('key', n),
        key_id: `big${n}`,
        user_id: n % 10 < 7 ? userId : null,
        name: `row ${n}`,
        key_prefix: 'desi_sk_live_0',
        hash: 'x',
        scopes: '["read"]',
        created_at: at(n),
      }),
      usage_records: (n) => ({
        id: idOf('usage', n),
        resource_type: oneOf(['prompt_tokens', 'cached_tokens', 'completion_tokens', 'compute_ms', 'executions'], n),
        quantity: n,
        unit_cost: 1,
        price_version: '1',
        cost_usd_micros: 1,
        provider: 'openai',
        model: oneOf(['gpt-5-mini', 'gpt-4o'], n),
        dag_id: idOf('dag', n),
        execution_id: idOf('execution', n),
        created_at: at(n),
      }),
      invoices: (n) => ({
        id: idOf('invoice', n),
        period: `${String(Math.floor(n / 12)).padStart(4, '0')}-${String((n % 12) + 1).padStart(2, '0')}`, // one a month
        status: oneOf(['draft', 'open', 'paid', 'void'], n),
        line_items: '[]',
        total_usd_cents: 0,
        ...times(n),
      }),
      experiments: (n) => ({
        id: idOf('experiment', n),
        status: oneOf(['completed', 'running'], n),
        goal_text: 'one of many',
        ...times(n),
      }),
      experiment_trials: (n) => ({
        experiment_id: idOf('experiment', n),
        position: 1,
        model: 'gpt-5-mini',
        temperature: 0,
        status: oneOf(['success', 'pending'], n),
      }),
      artifacts: (n) =>
        n < 1_000 && {
          id: idOf('artifact', n),
          execution_id: idOf('execution', Math.floor(n / 100)),
          name: `${n}.md`,
          origin: 'output',
          content_type: 'text/markdown',
          size_bytes: 1,
          blob_key: 'x',
          ...times(n),
        },
    },
    ['dag', 'agent', 'user'],
  )
}

export function fillControl(file: string): void {
  fill(
    file,
    {
      tenants: (n) => ({
        id: idOf('tenant', n),
        name: `Row r${n}`,
        slug: `row-${n}`,
        status: oneOf(['active', 'suspended', 'pending'], n),
        plan: oneOf(['free', 'pro', 'power', 'team', 'enterprise'], n),
        quotas: '{}',
        ...times(n),
      }),
    },
    ['tenant'],
  )
}

function times(n: number): Row {
  return { created_at: at(n), updated_at: at(n) }
}

function zeroes(...columns: string[]): Row {
  return Object.fromEntries(columns.map((column) => [column, 0]))
}

/** All rows in one transaction, each with a word of its own to be found by, and every tenth with one they share. */
function fill(file: string, tables: Record<string, (n: number) => Row | false>, searched: readonly string[]): void {
  const db = new Database(file)
  // Nobody else has the file, and a crash would only end the test.
  for (const pragma of ['journal_mode = off', 'synchronous = off', 'foreign_keys = off', 'cache_size = -200000'])
    db.pragma(pragma)
  db.transaction(() => {
    for (const [table, rowOf] of Object.entries(tables)) {
      const columns = Object.keys(rowOf(0))
      const insert = db.prepare(`insert into ${table} (${columns}) values (${columns.map(() => '?')})`)
      withoutIndexes(db, table, () => {
        for (let n = 0, row = rowOf(n); row && n < ROWS; n += 1, row = rowOf(n)) insert.run(Object.values(row))
      })
    }
    const words = db.prepare('insert into search_words (kind, word, subject_id) values (?, ?, ?)')
    withoutIndexes(db, 'search_words', () => {
      for (const kind of searched) {
        for (let n = 0; n < ROWS; n += 10) words.run(kind, 'row', idOf(kind, n))
        for (let n = 0; n < ROWS; n += 1) words.run(kind, `r${n}`, idOf(kind, n))
      }
    })
  })()
  db.exec('analyze')
  db.close()
}

/** Sorting the rows into an index once is quicker than one after the other. */
function withoutIndexes(db: Database.Database, table: string, work: () => void): void {
  const made = "select name, sql from sqlite_master where type = 'index' and tbl_name = ? and sql is not null"
  const indexes = db.prepare(made).all(table) as { name: string; sql: string }[]
  for (const { name } of indexes) db.exec(`drop index ${name}`)
  work()
  for (const { sql } of indexes) db.exec(sql)
}
