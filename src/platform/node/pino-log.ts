import { pino } from 'pino'
import { describeError, fieldsWithoutKeys } from '#kit/log.ts'
import type { Log } from '#ports/log.ts'

/** One JSON line an event on `destination` (a file descriptor; 1 is stdout). API keys are cut out of every text. */
export function pinoLog(level: string, destination = 1): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: fieldsWithoutKeys },
      redact: { paths: ['authorization', 'headers.authorization', 'apiKey', '*.apiKey', '*.key'], censor: '[cut]' },
      serializers: { err: describeError },
    },
    pino.destination({ dest: destination, sync: false, minLength: 0 }),
  )
}
