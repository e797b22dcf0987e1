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
  await db.schema.createIndex('search_words_by_subject').on('search_words').columns(['subject_id', 'kind']).execute()
  await catchUp(db as Kysely<Searchable>)
}

/** What was written before can be found as well. */
async function catchUp(db: Kysely<Searchable>): Promise<void> {
  const dags = await db.selectFrom('dags').select(['id', 'title', 'goal_text']).execute()
  for (const { id, title, goal_text } of dags) await putWords(db, 'dag', id, `${title} ${goal_text}`)
  const agents = await db.selectFrom('agents').select(['id', 'name', 'description']).execute()
  for (const { id, name, description } of agents) await putWords(db, 'agent', id, `${name} ${description ?? ''}`)
  const users = await db.selectFrom('users').select(['id', 'name', 'email']).execute()
  for (const { id, name, email } of users) await putWords(db, 'user', id, `${name} ${email}`)
}

async function putWords(db: Kysely<Searchable>, kind: string, subjectId: string, text: string): Promise<void> {
  for (const word of wordsOf(text)) {
    await db.insertInto('search_words').values({ kind, word, subject_id: subjectId }).execute()
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
