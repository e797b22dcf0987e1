import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { explain, isPage, watchStatements } from '#test/support/query-plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const ROWS = 25_000
const numbers = Array.from({ length: ROWS }, (_, n) => n).reverse() // newest first

/** Words from those in every row to those in a few: each is looked for in a way of its own. */
const WORDS: Record<string, (n: number) => boolean> = {
  common: () => true,
  early: (n) => n < 22_000, // common as well, but the newest rows have none
  odd: (n) => n % 2 === 1,
  usual: (n) => n % 5 === 0,
  rare: (n) => n % 1_000 === 0,
}

const LISTS = { '/dags': 'aaaaaaaa', '/executions': 'bbbbbbbb' }
const idOf = (path: keyof typeof LISTS, n: number) => `${LISTS[path]}-0000-4000-8000-${String(n).padStart(12, '0')}`

function fill(file: string): void {
  const db = new Database(file)
  for (const pragma of ['journal_mode = off', 'synchronous = off']) db.pragma(pragma)
  const each = `with recursive row(n) as (select 0 union all select n + 1 from row where n < ${ROWS - 1})`
  const id = (path: keyof typeof LISTS) => `printf('${LISTS[path]}-0000-4000-8000-%012d', n)`
  const at = "strftime('%Y-%m-%dT%H:%M:%fZ', '2026-01-01', '+' || n || ' seconds')"
  db.exec(`
    ${each} insert into dags (id, title, status, goal_text, agent_version, params, clarifications, planning_attempts,
        created_at, updated_at)
      select ${id('/dags')}, 'x', 'success', 'x', '1', '{}', '[]', '[]', ${at}, ${at} from row;
    ${each} insert into executions (id, dag_id, dag_title, original_request, primary_intent, synthesis_plan, params,
        status, total_tasks, completed_tasks, failed_tasks, waiting_tasks, skipped_tasks, retry_count, last_event_seq,
        crash_count, prompt_tokens, completion_tokens, cached_tokens, cost_usd_micros, unpriced_calls,
        created_at, updated_at)
      select ${id('/executions')}, ${id('/dags')}, 'x', 'x', 'x', 'x', '{}', 'completed', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, ${at}, ${at} from row;
  `)
  const insert = db.prepare('insert into search_words (kind, word, subject_id) values (?, ?, ?)')
  db.transaction(() => {
    for (const [word, stands] of Object.entries(WORDS)) {
      for (const n of numbers.filter(stands)) insert.run('dag', word, idOf('/dags', n))
    }
  })()
  db.close()
}

async function filledApi(): Promise<{ api: TestApi; acme: Client; file: string }> {
  const empty = await startApi()
  const { tenantId, key } = await empty.tenant('acme')
  await empty.close()
  const file = `${empty.dataDir}/tenants/${tenantId}/agent.db`
  fill(file)
  const api = await startApi({ dataDir: empty.dataDir })
  return { api, acme: api.client(key), file }
}

test('a search finds the same rows however often its words stand there', { timeout: 60_000 }, async () => {
  const { acme } = await filledApi()
  const found = async (path: string, query: string) => {
    const { status, body } = await acme.get(`${path}?limit=20&${query}`)
    expect(status, query).toBe(200)
    return { ids: body.data.map(({ id }: { id: string }) => id), pagination: body.pagination }
  }
  for (const path of Object.keys(LISTS) as (keyof typeof LISTS)[]) {
    for (const search of [
      'common',
      'c',
      'early',
      'usual',
      'us',
      'rare',
      'common rare',
      'usual odd',
      'odd early',
      'none',
    ]) {
      const stands = search.split(' ').map((part) => Object.entries(WORDS).filter(([word]) => word.startsWith(part)))
      const expected = numbers
        .filter((n) => stands.every((words) => words.some(([, isThere]) => isThere(n))))
        .map((n) => idOf(path, n))
      const first = await found(path, `search=${search}&includeTotal=true`)
      expect(first.ids, search).toEqual(expected.slice(0, 20))
      expect(first.pagination.total, search).toBe(expected.length)
      expect((await found(path, `search=${search}&offset=21`)).ids, search).toEqual(expected.slice(21, 41))
      if (first.pagination.nextCursor === null) continue
      const next = await found(path, `search=${search}&cursor=${first.pagination.nextCursor}`)
      expect(next.ids, search).toEqual(expected.slice(20, 40))
    }
  }
})

test('a search walks the list for a common word and fetches the rows of a rare one', { timeout: 60_000 }, async () => {
  const { acme, file } = await filledApi()
  const watched = watchStatements()
  const planOf = async (search: string) => {
    watched.ran.length = 0
    await acme.get(`/dags?search=${search}`)
    const pages = watched.ran.filter(isPage)
    expect(pages.length, search).toBe(1)
    return explain(file, pages)[0]?.plan.join('; ') ?? ''
  }
  for (const search of ['common', 'early', 'c', 'common early']) {
    const plan = await planOf(search)
    expect(plan, search).toMatch(/^SCAN dags USING INDEX dags_by_creation; .*\(subject_id=\? AND kind=\? AND word>/)
    expect(plan, search).not.toContain('TEMP B-TREE')
  }
  for (const search of ['usual', 'common odd']) {
    expect(await planOf(search), search).toMatch(/^SCAN dags USING INDEX dags_by_creation; LIST SUBQUERY/)
  }
  for (const search of ['rare', 'common rare', 'rare usual early', 'none']) {
    expect(await planOf(search), search).toMatch(/^SEARCH dags USING INDEX \S+ \(id=\?\)/)
  }
})
