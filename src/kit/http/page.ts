import { z } from '@hono/zod-openapi'
import type { Page, PageRequest, Position } from '../db/page.ts'
import { ValidationFailed } from './errors.ts'

/** Query parameters every list takes. `offset` and `cursor` both work; the cursor is stable under inserts. */
export const PageQuery = {
  limit: wholeNumber(1, 100).default(50).openapi({ description: 'Rows on a page.' }),
  offset: wholeNumber(0, 1_000_000).default(0).openapi({ description: 'Rows to skip.' }),
  cursor: z
    .string()
    .max(200)
    .optional()
    .openapi({ description: '`nextCursor` of the page before; not with `offset`.' }),
  includeTotal: z
    .enum(['true', 'false'])
    .default('false')
    .openapi({ description: 'Count all rows that match, which may take longer than the page.' }),
}

/** A number in a query string. zod-openapi documents a coerced one as nullable and without its bounds, so both are said. */
function wholeNumber(minimum: number, maximum: number) {
  return z.coerce.number().int().min(minimum).max(maximum).openapi({ type: 'integer', minimum, maximum })
}

interface ParsedPageQuery {
  limit: number
  offset: number
  cursor?: string | undefined
  includeTotal: 'true' | 'false'
}

const Pagination = z
  .object({
    limit: z.int(),
    offset: z.int(),
    hasMore: z.boolean(),
    nextCursor: z.string().nullable(),
    total: z.int().nullable().openapi({ description: 'Counted only with `includeTotal=true`; else null.' }),
  })
  .openapi('Pagination')

/** The answer of a list of `item`s. */
export function pageOf<S extends z.ZodType>(item: S) {
  return z.object({ data: z.array(item), pagination: Pagination })
}

export function pageRequest(query: ParsedPageQuery): PageRequest {
  if (query.cursor !== undefined && query.offset > 0) {
    throw new ValidationFailed([{ path: 'cursor', message: 'Send cursor or offset, not both.' }])
  }
  return {
    limit: query.limit,
    offset: query.offset,
    cursor: query.cursor === undefined ? null : decodeCursor(query.cursor),
    includeTotal: query.includeTotal === 'true',
  }
}

export function pageAnswer<Row>(page: Page<Row>, query: ParsedPageQuery) {
  return {
    data: page.rows,
    pagination: {
      limit: query.limit,
      offset: query.offset,
      hasMore: page.hasMore,
      nextCursor: page.next ? encodeCursor(page.next) : null,
      total: page.total,
    },
  }
}

const Cursor = z.tuple([z.iso.datetime(), z.uuid()])

function encodeCursor(position: Position): string {
  return btoa(JSON.stringify([position.createdAt, position.id]))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
}

function decodeCursor(cursor: string): Position {
  try {
    const [createdAt, id] = Cursor.parse(JSON.parse(atob(cursor.replaceAll('-', '+').replaceAll('_', '/'))))
    return { createdAt, id }
  } catch {
    throw new ValidationFailed([{ path: 'cursor', message: 'This is not a cursor we gave out.' }])
  }
}
