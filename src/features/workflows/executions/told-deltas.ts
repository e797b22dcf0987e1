import { CLOSING_EVENTS, type ExecutionDelta, type ExecutionEvent } from '#desiagent/events.ts'
import type { LiveAnswer, LiveAnswers } from '#desiagent/executor/live-answers.ts'
import { formatMessage } from '#kit/http/sse.ts'
import { FULL_PIECE, type LogPiece } from './shared-log.ts'

export type Telling = Pick<LogPiece, 'text' | 'last' | 'isEnd'>

/**
 * How much one reader has been told of what models are saying: a position for each task and nothing else, so that a slow
 * reader costs no more than a fast one, and takes in one piece what it has not seen.
 */
export class ToldDeltas {
  readonly #executionId: string
  readonly #answers: LiveAnswers
  /** Task -> the call it was told of last, and how many characters of it. */
  readonly #told = new Map<string | null, { call: number; characters: number }>()

  constructor(executionId: string, answers: LiveAnswers) {
    this.#executionId = executionId
    this.#answers = answers
  }

  /** What is being said. To be asked before the log is read: who has spoken by then has begun in it. */
  speaking(): readonly LiveAnswer[] {
    return this.#answers.of(this.#executionId)
  }

  /** A piece of the log: before each end in it what was said until then, after it what is still being said. */
  weave({ events, messages, last, isNewest, isEnd }: LogPiece, speaking: readonly LiveAnswer[]): Telling {
    let text = ''
    for (const [index, event] of events.entries()) {
      const isEnded = endedBy(event)
      if (isEnded) text += this.#tellAll(this.speaking().filter(isEnded), FULL_PIECE - text.length)
      if (text.length >= FULL_PIECE) return { text, last: event.seq - 1, isEnd: false }
      text += messages[index]
    }
    if (isNewest && !isEnd) text += this.#tellAll(speaking, FULL_PIECE - text.length)
    return { text, last, isEnd }
  }

  /** @param room  characters; with the answer that fills it the telling stops, and goes on when this was taken */
  #tellAll(answers: readonly LiveAnswer[], room: number): string {
    let text = ''
    for (const answer of answers) if (text.length < room) text += this.#tell(answer)
    return text
  }

  /** What this reader has not been told of an answer; empty when it has been told all. */
  #tell({ call, taskId, attempt, text }: LiveAnswer): string {
    const told = this.#told.get(taskId)
    if (told && told.call > call) return '' // another call has taken its place meanwhile
    const offset = told?.call === call ? told.characters : 0
    if (offset === text.length) return ''
    this.#told.set(taskId, { call, characters: text.length })
    const executionId = this.#executionId
    const type = 'execution:delta'
    const delta: ExecutionDelta = { type, executionId, taskId, attempt, offset, text: text.slice(offset) }
    return formatMessage({ event: type, data: JSON.stringify(delta) })
  }
}

/** Whose answers have ended with this event; null when nobody's. */
function endedBy(event: ExecutionEvent): ((answer: LiveAnswer) => boolean) | null {
  switch (event.type) {
    case 'execution:task_completed':
    case 'execution:task_failed': {
      const { taskId } = event.data
      return (answer) => answer.taskId === taskId
    }
    case 'execution:synthesis_completed':
      return (answer) => answer.taskId === null
    default:
      return CLOSING_EVENTS.has(event.type) ? () => true : null
  }
}
