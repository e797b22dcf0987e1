import { pino } from 'pino'
import type { Log } from '#ports/log.ts'

/** One JSON line an event on `destination` (a file descriptor; 1 is stdout). Credentials are cut out wherever they stand. */
export function pinoLog(level: string, destination = 1): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: ['authorization', 'headers.authorization', 'apiKey', '*.apiKey', '*.key'], censor: '[cut]' },
      serializers: {
        err: (error: Error) => ({
          type: error.name,
          message: withoutKeys(error.message),
          stack: withoutKeys(error.stack ?? ''),
        }),
      },
    },
    pino.destination({ dest: destination, sync: false, minLength: 0 }),
  )
}

function withoutKeys(text: string): string {
  return text.replaceAll(/desi_sk_\w+/g, 'desi_sk_[cut]')
}
