import { addressGroup } from '#kit/http/client-address.ts'
import { rateLimited } from '#kit/http/rate-limit.ts'
import { SlidingWindow, windowKey } from '#kit/http/sliding-window.ts'

const WINDOW_MS = 60_000
const PER_ADDRESS_AND_KEY = 5
const PER_ADDRESS = 20

/**
 * Bounds how many wrong secrets one address may have hashed: 5 a minute for one key id, 20 for all. A place is taken
 * before the hash and given back when the secret was right, so that parallel guesses gain nothing.
 */
export class FailedSecrets {
  readonly #window: SlidingWindow
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
    this.#window = new SlidingWindow(WINDOW_MS, nowMs)
  }

  /**
   * Takes a place for one comparison.
   *
   * @returns gives the place back
   * @throws RateLimited when there is none
   */
  reserve(address: string, keyId: string): () => void {
    const forKey = windowKey(PER_ADDRESS_AND_KEY, `${addressGroup(address)} ${keyId}`)
    const forAddress = windowKey(PER_ADDRESS, addressGroup(address))
    this.#take(forKey, PER_ADDRESS_AND_KEY)
    try {
      this.#take(forAddress, PER_ADDRESS)
    } catch (error) {
      this.#window.decrement(forKey)
      throw error
    }
    return () => {
      this.#window.decrement(forKey)
      this.#window.decrement(forAddress)
    }
  }

  #take(key: string, limit: number): void {
    const { totalHits, resetTime } = this.#window.increment(key)
    if (totalHits <= limit) return
    throw rateLimited(limit, resetTime, this.#nowMs(), 'Too many wrong API keys. Wait as long as Retry-After says.')
  }
}
