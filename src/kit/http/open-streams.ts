import { TooManyStreams } from './errors.ts'

const STREAMS_PER_TENANT = 200

/** The long answers of this process, of whatever kind: each holds its tenant's database open for as long as it is read. */
export class OpenStreams {
  /** Aborts when the process goes down. */
  readonly stopping: AbortSignal
  readonly #open = new Map<string, number>()

  constructor(stopping: AbortSignal) {
    this.stopping = stopping
  }

  get count(): number {
    return [...this.#open.values()].reduce((sum, open) => sum + open, 0)
  }

  /** Takes a place for one stream. @returns gives it back; to be called once @throws TooManyStreams */
  enter(tenantId: string): () => void {
    const open = this.#open.get(tenantId) ?? 0
    if (open >= STREAMS_PER_TENANT) throw new TooManyStreams({ limit: STREAMS_PER_TENANT }, { retryAfterSeconds: 5 })
    this.#open.set(tenantId, open + 1)
    return () => {
      const left = (this.#open.get(tenantId) ?? 1) - 1
      if (left > 0) this.#open.set(tenantId, left)
      else this.#open.delete(tenantId)
    }
  }
}
