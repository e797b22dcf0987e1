import { z } from '@hono/zod-openapi'

const MAX_DEPTH = 64

/** An object of whatever shape, nested at most 64 deep: deeper ones are nobody's data, and recursion has an end. */
export function freeFormObject() {
  return z
    .record(z.string(), z.unknown())
    .refine(isShallow, { error: `Nested more than ${MAX_DEPTH} levels deep.`, abort: true })
}

/** Level by level instead of by recursion, which is what a deep one would break. */
function isShallow(value: unknown): boolean {
  let level: unknown[] = [value]
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) return false
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []))
  }
  return true
}
