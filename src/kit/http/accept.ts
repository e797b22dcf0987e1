/** Whether a caller wants JSON where a stream is the rule: `Accept` (RFC 9110 §12.5.1) names JSON, and not the stream. */
export function prefersJson(accept: string | undefined): boolean {
  const types = (accept ?? '')
    .split(',')
    .filter((range) => !REFUSED.test(range))
    .map(typeOf)
  return types.includes('application/json') && !types.includes('text/event-stream')
}

const REFUSED = /;\s*q=0(\.0*)?\s*(;|$)/i

function typeOf(range: string): string {
  return (range.split(';')[0] ?? '').trim().toLowerCase()
}
