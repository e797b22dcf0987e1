// How far the HTML standard looks for a <meta charset>.
const PRESCAN_BYTES = 1024
const DECLARED = /(?:<meta[^>]*?charset|<\?xml[^>]*?encoding)\s*=\s*["']?\s*([\w:-]+)/i

/** `text/html` of `text/HTML; charset=utf-8`. */
export function mediaType(contentType: string): string {
  const [type = ''] = contentType.split(';')
  return type.trim().toLowerCase()
}

/** The text of a page. Its charset, as in browsers: the byte order mark, then the header, then the page, then UTF-8. */
export function decodePage(bytes: Uint8Array, contentType: string): string {
  return decode(bytes, byteOrderMark(bytes) ?? headerCharset(contentType) ?? declaredCharset(bytes))
}

function byteOrderMark([first, second, third]: Uint8Array): string | null {
  if (first === 0xef && second === 0xbb && third === 0xbf) return 'utf-8'
  if (first === 0xfe && second === 0xff) return 'utf-16be'
  if (first === 0xff && second === 0xfe) return 'utf-16le'
  return null
}

function headerCharset(contentType: string): string | null {
  return /charset\s*=\s*["']?([^\s;"']+)/i.exec(contentType)?.[1] ?? null
}

function declaredCharset(bytes: Uint8Array): string {
  const start = new TextDecoder('latin1').decode(bytes.subarray(0, PRESCAN_BYTES))
  const label = DECLARED.exec(start)?.[1] ?? 'utf-8'
  return /^utf-?16/i.test(label) ? 'utf-8' : label // what we could read as ASCII is not UTF-16
}

function decode(bytes: Uint8Array, label: string): string {
  try {
    return new TextDecoder(label).decode(bytes)
  } catch {
    return new TextDecoder().decode(bytes) // a name that nobody knows: UTF-8 is the best guess
  }
}
