const BY_ENDING = new Map(
  Object.entries({
    csv: 'text/csv; charset=utf-8',
    html: 'text/html; charset=utf-8',
    json: 'application/json',
    md: 'text/markdown; charset=utf-8',
    svg: 'image/svg+xml',
    txt: 'text/plain; charset=utf-8',
    xml: 'application/xml',
    yaml: 'application/yaml',
    yml: 'application/yaml',
  }),
)

/** The media type for a text file's name; plain text when its ending says nothing. */
export function contentTypeOf(name: string): string {
  const ending = name.slice(name.lastIndexOf('.') + 1).toLowerCase()
  return BY_ENDING.get(ending) ?? 'text/plain; charset=utf-8'
}
