/** Text of others (a model's answer, a file) without what a terminal would obey; line breaks and tabs stay. */
export function printable(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replaceAll('\t', '  ')
    .replace(/[^\P{C}\n\u200d]/gu, '')
}

/** On one line, and no longer than `max` characters. */
export function clip(text: string, max: number): string {
  const line = printable(text).replace(/\s+/g, ' ').trim()
  const chars = [...line]
  if (chars.length <= max) return line
  return `${chars
    .slice(0, Math.max(0, max - 1))
    .join('')
    .trimEnd()}…`
}

/** `001, 002 and 003` */
export function listed(words: readonly string[]): string {
  if (words.length < 2) return words.join('')
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`
}

export function plural(amount: number, noun: string): string {
  return `${whole(amount)} ${noun}${amount === 1 ? '' : 's'}`
}

export function whole(amount: number): string {
  return amount.toLocaleString('en-US')
}

export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

export function size(bytes: number): string {
  return bytes < 10_000 ? plural(bytes, 'byte') : `${whole(Math.round(bytes / 1_000))} kB`
}

/** Micro-USD; null is a cost nobody knows, which is not 0. */
export function cost(usdMicros: number | null): string {
  return usdMicros === null ? 'unknown' : `$${(usdMicros / 1_000_000).toFixed(6)}`
}

/** A sentence ends in one full stop, whoever wrote it. */
export function sentence(text: string): string {
  const line = printable(text).replace(/\s+/g, ' ').trim()
  return /[.!?…]$/.test(line) ? line : `${line}.`
}

/** Broken at spaces, so that no line is longer than `width` unless a single word is. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of printable(text).split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return line === '' ? lines : [...lines, line]
}
