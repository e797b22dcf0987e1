import { TooManyStreams } from './errors.ts'
import { READER_LIMIT_MS } from './text-stream.ts'

/** The long answers of this process, of whatever kind: each holds its tenant's database open for as long as it is read. */
export class OpenStreams {
  /** Aborts when the process goes down. */
  readonly stopping: AbortSignal
  /** A reader that takes nothing for this long is cut. */
  readonly readerLimitMs: number
  readonly #mostPerTenant: number
  readonly #open = new Map<string, number>()

  constructor(stopping: AbortSignal, mostPerTenant: number, readerLimitMs = READER_LIMIT_MS) {
    this.stopping = stopping
    this.#mostPerTenant = mostPerTenant
    this.readerLimitMs = readerLimitMs
  }

  get count(): number {
    return [...this.#open.values()].reduce((sum, open) => sum + open, 0)
  }

  /** Takes a place for one stream. @returns gives it back; to be called once @throws TooManyStreams */
  enter(tenantId: string): () => void {
    const limit = this.#mostPerTenant
    const open = this.#open.get(tenantId) ?? 0
    if (open >= limit) throw new TooManyStreams({ limit }, { retryAfterSeconds: 5 })
    this.#open.set(tenantId, open + 1)
    return () => {
      const left = (this.#open.get(tenantId) ?? 1) - 1
      if (left > 0) this.#open.set(tenantId, left)
      else this.#open.delete(tenantId)
    }
  }
}
