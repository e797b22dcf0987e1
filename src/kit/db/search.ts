import { type Expression, type Kysely, type SqlBool, sql } from 'kysely'

/** What can be searched for: whose words stand in `search_words`. */
export type SearchKind = 'agent' | 'dag' | 'user' | 'tenant'

const LONGEST_TEXT = 2_000
const MOST_WORDS = 60
const LONGEST_WORD = 40
const MOST_QUERY_WORDS = 8
const ROWS_PER_STATEMENT = 30

/** Sorts behind every word that begins with what stands before it. */
const LAST = '\u{10ffff}'

interface Searchable {
  search_words: { kind: string; word: string; subject_id: string }
}

/** The words of a text as they are found by: lower case, letters (with their marks) and digits, each once. */
export function wordsOf(text: string): string[] {
  const folded = text.slice(0, LONGEST_TEXT).normalize('NFKC').toLowerCase()
  const words = folded.match(/[\p{L}\p{N}\p{M}]+/gu) ?? []
  return [...new Set(words.map((word) => word.slice(0, LONGEST_WORD)))].slice(0, MOST_WORDS)
}

/** Puts the words of these texts in the place of what the subject was found by. Belongs into the transaction that writes it. */
export async function putSearchWords<T>(
  tx: Kysely<T>,
  kind: SearchKind,
  subjectId: string,
  texts: readonly string[],
): Promise<void> {
  await removeSearchWords(tx, kind, subjectId)
  const words = wordsOf(texts.map((text) => text.slice(0, LONGEST_TEXT)).join(' '))
  for (let start = 0; start < words.length; start += ROWS_PER_STATEMENT) {
    const rows = words.slice(start, start + ROWS_PER_STATEMENT).map((word) => ({ kind, word, subject_id: subjectId }))
    await searchable(tx).insertInto('search_words').values(rows).execute()
  }
}

export async function removeSearchWords<T>(tx: Kysely<T>, kind: SearchKind, subjectId: string): Promise<void> {
  await searchable(tx).deleteFrom('search_words').where('subject_id', '=', subjectId).where('kind', '=', kind).execute()
}

/**
 * True for rows in whose words every word of the query is found, whole or as a beginning.
 *
 * @param column  the column that holds the subject's id, such as `dags.id`
 */
export function foundBy(kind: SearchKind, column: string, query: string): Expression<SqlBool> {
  const words = wordsOf(query).slice(0, MOST_QUERY_WORDS)
  if (words.length === 0) return sql<SqlBool>`1 = 0` // nothing but punctuation is found nowhere
  const conditions = words.map(
    (word) =>
      sql<SqlBool>`${sql.ref(column)} in (select subject_id from ${sql.table('search_words')} where kind = ${kind} and word >= ${word} and word < ${word + LAST})`,
  )
  return sql<SqlBool>`${sql.join(conditions, sql` and `)}`
}

/** Both the control database and a tenant's have the table; the builder's types cannot say so. */
function searchable<T>(db: Kysely<T>): Kysely<Searchable> {
  return db as unknown as Kysely<Searchable>
}
