import type { Log } from '#ports/log.ts'

export interface LogLine {
  level: keyof Log
  // biome-ignore lint/suspicious/noExplicitAny: tests look into lines of every shape
  fields: any
  message: string
}

/** A log that keeps its lines, for `overrides.log`. */
export function collectLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: keyof Log) => (fields: object, message: string) => {
    lines.push({ level, fields, message })
  }
  return { lines, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } }
}
