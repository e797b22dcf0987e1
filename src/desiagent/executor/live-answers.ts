import type { Wake } from '#ports/wake.ts'

/** One call of a model that is being answered, or was a moment ago. */
export interface LiveAnswer {
  /** Tells the calls of this process apart, also two of one attempt. */
  readonly call: number
  /** Null: the synthesis. */
  readonly taskId: string | null
  readonly attempt: number
  /** What it has said so far; ends at `LONGEST_TEXT`. */
  readonly text: string
}

/** Whoever makes a call tells what comes in. Both may be handed on alone. */
export interface Speaker {
  say(piece: string): void
  /** The call has ended; its text is kept for a moment, for readers who have not taken it yet. */
  end(): void
}

const LONGEST_TEXT = 1_000_000
/** Characters of all texts together: of more, what ended first is dropped, and then nothing further is taken in. */
const MOST_CHARACTERS = 20_000_000
const ROUSE_EVERY_MS = 50
const KEPT_MS = 5_000

interface Call extends LiveAnswer {
  readonly executionId: string
  text: string
  state: 'speaking' | 'full' | 'ended' | 'dropped'
  /** When its readers were roused last, by the process's own clock. */
  rousedAtMs: number
  isRousing: boolean
  keptUntilMs: number
}

/** The topic under which readers of an execution's live answers are woken. */
export function liveTopic(executionId: string): string {
  return `${executionId}/live`
}

/** What models are saying in this process. In memory only: what counts is the result that is committed. */
export class LiveAnswers {
  readonly #wake: Wake
  /** Execution -> task -> its latest call. A call is in here from its first word on. */
  readonly #said = new Map<string, Map<string | null, Call>>()
  /** The calls whose text is kept although they have ended, in the order in which they did. */
  readonly #ended = new Set<Call>()
  #characters = 0
  #lastCall = 0
  #isSweeping = false

  constructor(wake: Wake) {
    this.#wake = wake
  }

  /** A call begins. With its first word it takes the place of the task's call before. */
  begin(executionId: string, taskId: string | null, attempt: number): Speaker {
    this.#lastCall += 1
    const call: Call = {
      executionId,
      call: this.#lastCall,
      taskId,
      attempt,
      text: '',
      state: 'speaking',
      rousedAtMs: Number.NEGATIVE_INFINITY,
      isRousing: false,
      keptUntilMs: 0,
    }
    return { say: (piece) => this.#say(call, piece), end: () => this.#end(call) }
  }

  /** What is being said for this execution, and what was a moment ago; of each task the latest call. */
  of(executionId: string): readonly LiveAnswer[] {
    return [...(this.#said.get(executionId)?.values() ?? [])]
  }

  #say(call: Call, piece: string): void {
    if (call.state !== 'speaking' || piece === '') return
    if (call.text === '') this.#takePlace(call)
    const taken = piece.slice(0, Math.min(LONGEST_TEXT - call.text.length, this.#roomFor(piece.length)))
    if (taken.length < piece.length) call.state = 'full' // for good: what followed would not belong to what came before
    call.text += taken
    this.#characters += taken.length
    this.#rouse(call)
  }

  #end(call: Call): void {
    if (call.state === 'ended' || call.state === 'dropped') return
    call.state = 'ended'
    if (this.#said.get(call.executionId)?.get(call.taskId) !== call) return // it never said a word
    call.keptUntilMs = performance.now() + KEPT_MS
    this.#ended.add(call)
    this.#sweepLater()
  }

  #takePlace(call: Call): void {
    const calls = this.#said.get(call.executionId) ?? new Map<string | null, Call>()
    const before = calls.get(call.taskId)
    if (before) this.#drop(before)
    this.#said.set(call.executionId, calls.set(call.taskId, call))
  }

  #drop(call: Call): void {
    call.state = 'dropped'
    this.#ended.delete(call)
    this.#characters -= call.text.length
    const calls = this.#said.get(call.executionId)
    if (calls?.get(call.taskId) !== call) return
    calls.delete(call.taskId)
    if (calls.size === 0) this.#said.delete(call.executionId)
  }

  #roomFor(wanted: number): number {
    for (const call of this.#ended) {
      if (this.#characters + wanted <= MOST_CHARACTERS) break
      this.#drop(call)
    }
    return Math.max(0, MOST_CHARACTERS - this.#characters)
  }

  /** At once, but then not again for a while: what is said in between is told together. */
  #rouse(call: Call): void {
    if (call.isRousing) return
    const waitMs = call.rousedAtMs + ROUSE_EVERY_MS - performance.now()
    if (waitMs <= 0) {
      this.#rouseNow(call)
      return
    }
    call.isRousing = true
    setTimeout(() => this.#rouseNow(call), waitMs)
  }

  #rouseNow(call: Call): void {
    call.isRousing = false
    call.rousedAtMs = performance.now()
    this.#wake.notify(liveTopic(call.executionId))
  }

  #sweepLater(): void {
    const [oldest] = this.#ended
    if (!oldest || this.#isSweeping) return
    this.#isSweeping = true
    const timer: unknown = setTimeout(
      () => {
        this.#isSweeping = false
        const now = performance.now()
        for (const call of this.#ended) {
          if (call.keptUntilMs > now) break
          this.#drop(call)
        }
        this.#sweepLater()
      },
      Math.max(0, oldest.keptUntilMs - performance.now()),
    )
    letProcessEnd(timer)
  }
}

/** Where timers keep a process alive (Node), this one does not: a command that is done need not wait for it. */
function letProcessEnd(timer: unknown): void {
  ;(timer as { unref?: () => void }).unref?.()
}
