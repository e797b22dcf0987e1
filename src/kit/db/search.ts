import { type Expression, type Kysely, type SqlBool, sql } from 'kysely'

/** What can be searched for: whose words stand in `search_words`. */
export type SearchKind = 'agent' | 'dag' | 'user' | 'tenant'

const LONGEST_TEXT = 2_000
const MOST_WORDS = 60
const LONGEST_WORD = 40
const MOST_QUERY_WORDS = 8
const ROWS_PER_STATEMENT = 30

/** Measured with 100,000 rows: fetching 2,000 of them takes as long as walking over all of them. */
const FEW = 2_000
/** A word that stands this often is met soon by who walks over the rows. */
const MANY = 20_000

/** Sorts behind every word that begins with what stands before it. */
const LAST = '\u{10ffff}'

interface Searchable {
  search_words: { kind: string; word: string; subject_id: string }
}

/**
 * The words of a text as they are found by: lower case, letters (with their marks) and digits, each once. Of a long text
 * the first 60 different words of the first 2,000 characters: a goal may have 100,000, and each word is a row.
 */
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
 * What is true for rows in whose words every word of the query is found, whole or as a beginning. One rule, but the SQL
 * depends on how often the rarest of the words stands there: see `conditionOf`. Slow are only a far `offset`, and words
 * that each stand in more than `MANY` rows but together in none that are new: then the whole list is walked.
 *
 * @param column  the column that holds the subject's id, such as `dags.id`
 */
export async function foundBy<T>(
  db: Kysely<T>,
  kind: SearchKind,
  column: string,
  query: string,
): Promise<Expression<SqlBool>> {
  const words = wordsOf(query).slice(0, MOST_QUERY_WORDS)
  if (words.length === 0) return sql<SqlBool>`1 = 0` // nothing but punctuation is found nowhere
  const [rarest, ...others] = await byRarity(db, kind, words)
  const conditions = [
    conditionOf(kind, column, rarest as Counted),
    ...others.map((w) => standsAt(kind, column, w.word)),
  ]
  return sql<SqlBool>`${sql.join(conditions, sql` and `)}`
}

interface Counted {
  word: string
  /** How often it stands there, counted up to `MANY` and one more. */
  count: number
}

/** Reads a bounded piece of an index for each word, which costs less than reading the list in the wrong way. */
async function byRarity<T>(db: Kysely<T>, kind: SearchKind, words: readonly string[]): Promise<Counted[]> {
  const counts = words.map((word, at) =>
    sql<number>`(select count(*) from (select 1 from ${standing(kind, word)} limit ${MANY + 1}) as found)`.as(`n${at}`),
  )
  const found = await searchable(db).selectNoFrom(counts).executeTakeFirstOrThrow()
  return words.map((word, at) => ({ word, count: Number(found[`n${at}`]) })).toSorted((a, b) => a.count - b.count)
}

/**
 * Few matches are fetched by their ids and sorted. With many, the list is walked from its newest row on and each row is
 * asked for the word, since the page is full soon. Between the two it is walked as well, but each row is looked up in
 * the set of all matches: asking costs ten times that, and the page may fill late. `coalesce` keeps a database from
 * taking the ids' index all the same.
 */
function conditionOf(kind: SearchKind, column: string, { word, count }: Counted): Expression<SqlBool> {
  if (count > MANY) return standsAt(kind, column, word)
  const ids = sql`(select subject_id from ${standing(kind, word)})`
  return count > FEW
    ? sql<SqlBool>`coalesce(${sql.ref(column)}, '') in ${ids}`
    : sql<SqlBool>`${sql.ref(column)} in ${ids}`
}

function standsAt(kind: SearchKind, column: string, word: string): Expression<SqlBool> {
  return sql<SqlBool>`exists (select 1 from ${standing(kind, word)} and subject_id = ${sql.ref(column)})`
}

/** The table with the condition for the words that begin with this one. */
function standing(kind: SearchKind, word: string) {
  return sql`${sql.table('search_words')} where kind = ${kind} and word >= ${word} and word < ${word + LAST}`
}

/** Both the control database and a tenant's have the table; the builder's types cannot say so. */
function searchable<T>(db: Kysely<T>): Kysely<Searchable> {
  return db as unknown as Kysely<Searchable>
}
