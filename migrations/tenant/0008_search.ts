import type { Kysely } from 'kysely'

interface Searchable {
  dags: { id: string; title: string; goal_text: string }
  agents: { id: string; name: string; description: string | null }
  users: { id: string; name: string; email: string }
  search_words: { kind: string; word: string; subject_id: string }
}

export async function up(db: Kysely<unknown>): Promise<void> {
  // Which words stand in which row, because LIKE '%word%' reads a whole table on every database.
  await db.schema
    .createTable('search_words')
    .addColumn('kind', 'text', (c) => c.notNull()) // agent | dag | user
    .addColumn('word', 'text', (c) => c.notNull())
    .addColumn('subject_id', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('search_words_key', ['kind', 'word', 'subject_id'])
    .execute()
  await db.schema
    .createIndex('search_words_by_subject')
    .on('search_words')
    .columns(['subject_id', 'kind', 'word'])
    .execute()
  await catchUp(db as Kysely<Searchable>)
}

/** What was written before can be found as well. */
async function catchUp(db: Kysely<Searchable>): Promise<void> {
  const dags = db.selectFrom('dags').select(['id', 'title', 'goal_text']).orderBy('id').limit(PAGE)
  const agents = db.selectFrom('agents').select(['id', 'name', 'description']).orderBy('id').limit(PAGE)
  const users = db.selectFrom('users').select(['id', 'name', 'email']).orderBy('id').limit(PAGE)
  await eachPage(
    (after) => dags.where('id', '>', after).execute(),
    (page) => putWords(db, 'dag', page, ({ title, goal_text }) => `${title} ${goal_text}`),
  )
  await eachPage(
    (after) => agents.where('id', '>', after).execute(),
    (page) => putWords(db, 'agent', page, ({ name, description }) => `${name} ${description ?? ''}`),
  )
  await eachPage(
    (after) => users.where('id', '>', after).execute(),
    (page) => putWords(db, 'user', page, ({ name, email }) => `${name} ${email}`),
  )
}

const PAGE = 200
const ROWS_PER_STATEMENT = 30 // of 3 columns, below 100 parameters

async function eachPage<Row extends { id: string }>(
  read: (after: string) => Promise<Row[]>,
  work: (page: Row[]) => Promise<void>,
): Promise<void> {
  for (let page = await read(''); page.length > 0; page = await read(page.at(-1)?.id ?? '')) await work(page)
}

async function putWords<Row extends { id: string }>(
  db: Kysely<Searchable>,
  kind: string,
  subjects: Row[],
  textOf: (subject: Row) => string,
): Promise<void> {
  const rows = subjects.flatMap((subject) =>
    wordsOf(textOf(subject)).map((word) => ({ kind, word, subject_id: subject.id })),
  )
  for (let start = 0; start < rows.length; start += ROWS_PER_STATEMENT) {
    await db
      .insertInto('search_words')
      .values(rows.slice(start, start + ROWS_PER_STATEMENT))
      .execute()
  }
}

/** As they were told apart when this migration was written. */
function wordsOf(text: string): string[] {
  const words =
    text
      .slice(0, 2_000)
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{N}\p{M}]+/gu) ?? []
  return [...new Set(words.map((word) => word.slice(0, 40)))].slice(0, 60)
}
