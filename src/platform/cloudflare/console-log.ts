import { describeError, withoutKeys } from '#kit/log.ts'
import type { Log } from '#ports/log.ts'

const LEVELS = ['debug', 'info', 'warn', 'error'] as const
type Level = (typeof LEVELS)[number]

/** One JSON line an event, where Workers Logs picks it up. API keys are cut out wherever they stand. */
export function consoleLog(least: Level | 'silent'): Log {
  const wanted = least === 'silent' ? [] : LEVELS.slice(LEVELS.indexOf(least))
  const writer = (level: Level) => (wanted.includes(level) ? write(level) : () => {})
  return { debug: writer('debug'), info: writer('info'), warn: writer('warn'), error: writer('error') }
}

function write(level: Level) {
  return (fields: object, msg: string): void => {
    const line = JSON.stringify({ level, time: new Date().toISOString(), ...fields, msg }, printable)
    // biome-ignore lint/suspicious/noConsole: a Worker's log is its console
    console[level](line)
  }
}

function printable(_key: string, value: unknown): unknown {
  if (value instanceof Error) return describeError(value)
  return typeof value === 'string' ? withoutKeys(value) : value
}
