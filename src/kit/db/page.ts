import { type SelectQueryBuilder, sql } from 'kysely'

/** Where a page ended: the next one goes on behind this row, whatever was inserted meanwhile. */
export interface Position {
  createdAt: string
  id: string
}

export interface PageRequest {
  limit: number
  offset: number
  cursor: Position | null
  includeTotal: boolean
}

export interface Page<Row> {
  rows: Row[]
  hasMore: boolean
  /** Behind the last row; null when there is no more. */
  next: Position | null
  /** Counted only when asked for. */
  total: number | null
}

interface Ordered {
  created_at: string
  id: string
}

/** One page of a filtered query, newest first. The table needs an index that ends in `(created_at, id)`. */
export async function fetchPage<DB, TB extends keyof DB, Row extends Ordered>(
  query: SelectQueryBuilder<DB, TB, Row>,
  page: PageRequest,
): Promise<Page<Row>> {
  // The builder's types cannot know that every table here has these two columns.
  const unordered = query as unknown as SelectQueryBuilder<{ t: Ordered }, 't', Row>
  const ordered = unordered
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(page.limit + 1)
  const { cursor } = page
  const behind = cursor
    ? ordered.where(sql<boolean>`(${sql.ref('created_at')}, ${sql.ref('id')}) < (${cursor.createdAt}, ${cursor.id})`)
    : ordered.offset(page.offset)

  const found = await behind.execute()
  const rows = found.slice(0, page.limit)
  const hasMore = found.length > page.limit
  const last = rows.at(-1)
  const next = hasMore && last ? { createdAt: last.created_at, id: last.id } : null
  const total = page.includeTotal ? await count(unordered) : null
  return { rows, hasMore, next, total }
}

async function count(query: SelectQueryBuilder<{ t: Ordered }, 't', Ordered>): Promise<number> {
  const { total } = await query
    .clearSelect()
    .select((eb) => eb.fn.countAll<number>().as('total'))
    .executeTakeFirstOrThrow()
  return Number(total)
}
