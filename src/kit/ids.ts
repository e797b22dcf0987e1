/** A new UUID v4 (RFC 9562), the only kind of id a row has. */
export function newId(): string {
  return crypto.randomUUID()
}
