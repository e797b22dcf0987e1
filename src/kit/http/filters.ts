import { z } from '@hono/zod-openapi'

/** Query parameters that more than one list takes. */

/** Which words there are is said by `wordsOf` of `kit/db/search.ts`. */
export const Search = z
  .string()
  .trim()
  .min(1)
  .max(100)
  .optional()
  .openapi({
    description:
      'Words, whole or their beginnings, in any order; upper and lower case are the same. Found are the first 60 different ' +
      'words of the first 2,000 characters.',
  })

const moment = z.iso.datetime({ offset: true }).optional()

export const CreatedRange = {
  createdFrom: moment.openapi({ description: 'Inclusive.' }),
  createdBefore: moment.openapi({ description: 'Exclusive.' }),
}

/** Moments as rows hold them. They are compared as text, so `12:00:00Z` has to become `12:00:00.000Z`. */
export function createdRange(query: { createdFrom?: string | undefined; createdBefore?: string | undefined }) {
  return { createdFrom: toIso(query.createdFrom), createdBefore: toIso(query.createdBefore) }
}

export function toIso(moment: string | undefined): string | undefined {
  return moment === undefined ? undefined : new Date(moment).toISOString()
}

export const IdParam = z.object({ id: z.uuid() })
