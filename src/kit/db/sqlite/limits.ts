// Durable Object storage refuses these; so do we everywhere, so that what passes on files passes at the edge.
const MAX_PARAMETERS = 100
const MAX_PATTERN_BYTES = 50

/** Throws when the statement would fail on one of the homes: too many parameters, a long LIKE pattern, a bigint. */
export function assertWithinLimits(sql: string, parameters: readonly unknown[]): void {
  if (parameters.length > MAX_PARAMETERS) {
    throw new Error(`A statement takes at most ${MAX_PARAMETERS} parameters, this one has ${parameters.length}.`)
  }
  for (const parameter of parameters) {
    if (typeof parameter === 'bigint') throw new Error('Numbers are bound as number, not as bigint.')
    if (typeof parameter === 'boolean') throw new Error('Yes and no are stored as 1 and 0.')
    if (typeof parameter === 'string' && isTooLongAPattern(parameter) && isPatternMatch(sql)) {
      throw new Error(`A LIKE pattern takes at most ${MAX_PATTERN_BYTES} bytes; use instr().`)
    }
  }
}

/** UTF-8 takes at most three bytes for a UTF-16 unit, so most parameters need no encoding. */
function isTooLongAPattern(text: string): boolean {
  if (text.length * 3 <= MAX_PATTERN_BYTES) return false
  return text.length > MAX_PATTERN_BYTES || new TextEncoder().encode(text).byteLength > MAX_PATTERN_BYTES
}

function isPatternMatch(sql: string): boolean {
  return / (like|glob) /i.test(sql)
}
