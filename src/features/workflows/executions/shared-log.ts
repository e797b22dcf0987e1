import { ExecutionNotFound } from '#desiagent/errors.ts'
import { CLOSING_EVENTS, type ExecutionEvent } from '#desiagent/events.ts'
import type { Execution } from '#desiagent/execution.ts'
import type { DesiAgent } from '#desiagent/index.ts'
import { formatMessage } from '#kit/http/sse.ts'
import type { Wake } from '#ports/wake.ts'

const EVENTS_PER_PIECE = 100
/** In characters; at least one event is told. What a slow reader holds in memory is two pieces at most. */
export const FULL_PIECE = 250_000
const KEPT_PIECES = 4
/** A wake-up is a hint that may be missed; what a missed one would have told is told after this. */
const KEPT_MS = 1_000

/** A piece of an execution's log, as its readers are told it. */
export interface LogPiece {
  events: readonly ExecutionEvent[]
  /** Each event as a message, in order. */
  messages: readonly string[]
  /** All of them. */
  text: string
  /** The number of the last event the reader has with this piece. */
  last: number
  /** Nothing is behind it, as far as was known when it was read. */
  isNewest: boolean
  /** The execution rests, and nothing is behind it. */
  isEnd: boolean
}

type Executions = Pick<DesiAgent['executions'], 'events' | 'get'>

/** One reader's way to the log it shares with others; to be left once. */
export interface LogReader {
  /** The piece behind number `after`. @param known  the number of an event that is known to be there */
  read(executions: Executions, after: number, known: number): Promise<LogPiece>
  leave(): void
}

/**
 * The logs that are being followed in this process. Readers of one log who are at the same place share one read of it
 * and its text, until the log has grown.
 */
export class SharedLogs {
  readonly #wake: Wake
  readonly #logs = new Map<string, SharedLog>()

  constructor(wake: Wake) {
    this.#wake = wake
  }

  join(tenantId: string, executionId: string): LogReader {
    const name = `${tenantId}/${executionId}`
    const log = this.#logs.get(name) ?? new SharedLog(executionId, this.#wake)
    this.#logs.set(name, log)
    log.readers += 1
    return {
      read: (executions, after, known) => log.read(executions, after, known),
      leave: () => {
        log.readers -= 1
        if (log.readers > 0) return
        log.close()
        this.#logs.delete(name)
      },
    }
  }
}

interface Kept {
  piece: Promise<LogPiece>
  /** By the process's own clock. */
  until: number
}

class SharedLog {
  readers = 0
  readonly close: () => void
  readonly #executionId: string
  /** Number behind which a piece begins -> the piece. */
  readonly #pieces = new Map<number, Kept>()

  constructor(executionId: string, wake: Wake) {
    this.#executionId = executionId
    // Before any reader's own listener: who is woken by the same call reads anew.
    this.close = wake.subscribe(executionId, () => this.#pieces.clear())
  }

  async read(executions: Executions, after: number, known: number): Promise<LogPiece> {
    const kept = this.#pieces.get(after)
    if (kept && performance.now() < kept.until) {
      const piece = await kept.piece
      // Between a commit and its wake-up somebody may have come who knows of more than what is kept.
      if (!piece.isNewest || piece.last >= known) return piece
    }
    return this.#readAnew(executions, after)
  }

  #readAnew(executions: Executions, after: number): Promise<LogPiece> {
    const piece = readPiece(executions, this.#executionId, after)
    const kept = { piece, until: performance.now() + KEPT_MS }
    const [oldest] = this.#pieces.keys()
    if (this.#pieces.size >= KEPT_PIECES) this.#pieces.delete(oldest as number)
    this.#pieces.set(after, kept)
    piece.catch(() => {
      if (this.#pieces.get(after) === kept) this.#pieces.delete(after) // the next who asks tries again
    })
    return piece
  }
}

async function readPiece(executions: Executions, id: string, after: number): Promise<LogPiece> {
  const found = await executions.events(id, after, EVENTS_PER_PIECE)
  const messages: string[] = []
  let text = ''
  for (const event of found) {
    if (text.length >= FULL_PIECE) break
    const message = formatMessage({ id: String(event.seq), event: event.type, data: JSON.stringify(event) })
    messages.push(message)
    text += message
  }
  const events = found.slice(0, messages.length)
  const last = events.at(-1)?.seq ?? after
  const isNewest = events.length === found.length && found.length < EVENTS_PER_PIECE
  const isEnd = isNewest && (await isOver(executions, id, events.at(-1), last))
  return { events, messages, text, last, isNewest, isEnd }
}

/** A closing event ends the log, unless somebody resumed the execution after it. One that was deleted tells no more. */
async function isOver(
  executions: Executions,
  id: string,
  newest: ExecutionEvent | undefined,
  last: number,
): Promise<boolean> {
  if (newest && !CLOSING_EVENTS.has(newest.type)) return false
  try {
    const now = await executions.get(id)
    return isResting(now) && last >= now.lastEventSeq
  } catch (error) {
    if (error instanceof ExecutionNotFound) return true
    throw error
  }
}

/** Whether its log grows no more unless somebody resumes it. */
export function isResting({ status }: Execution): boolean {
  return !['pending', 'running', 'waiting', 'paused'].includes(status)
}
