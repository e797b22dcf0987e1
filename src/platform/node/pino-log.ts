import { pino } from 'pino'
import { describeError, withoutKeys } from '#kit/log.ts'
import type { Log } from '#ports/log.ts'

/** A shorter secret is part of too many innocent words; nobody's key is that short. */
const SHORTEST_SECRET = 8

/**
 * One JSON line an event on `destination` (a file descriptor; 1 is stdout). API keys and the `secrets` given are cut out
 * of the whole line, wherever a field, a message, a stack or a cause quotes them.
 */
export function pinoLog(level: string, destination = 1, secrets: readonly string[] = []): Log {
  const file = pino.destination({ dest: destination, sync: false, minLength: 0 })
  const cut = withoutSecrets(secrets)
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: ['authorization', 'headers.authorization', 'apiKey', '*.apiKey', '*.key'], censor: '[cut]' },
      serializers: { err: describeError },
    },
    { write: (line) => file.write(withoutKeys(cut(line))) },
  )
}

function withoutSecrets(secrets: readonly string[]): (line: string) => string {
  const asWritten = secrets
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    .toSorted((a, b) => b.length - a.length) // one may be part of another
    .map((secret) => JSON.stringify(secret).slice(1, -1)) // a quote in it is escaped in the line
  return (line) => asWritten.reduce((text, secret) => text.replaceAll(secret, '[cut]'), line)
}
