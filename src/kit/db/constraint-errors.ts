/** True when the statement failed because a row with the same unique value exists, on any of our databases. */
export function isUniqueViolation(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { code } = error as { code?: unknown }
  if (code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY') return true
  if (code === '23505') return true // unique_violation, PostgreSQL's Appendix A
  return error.message.includes('UNIQUE constraint failed') // Durable Object storage has no codes
}
