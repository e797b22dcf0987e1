/** JSON columns: null in the table is null in our words. */
export function readJson<T>(column: string | null): T | null {
  return column === null ? null : (JSON.parse(column) as T)
}

export function writeJson(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value)
}
