/** A clock that stands still until it is moved, for `overrides.now`. */
export class HeldClock {
  #ms: number

  constructor(start = '2026-03-01T12:00:00.000Z') {
    this.#ms = Date.parse(start)
  }

  now = (): Date => new Date(this.#ms)

  pass(milliseconds: number): void {
    this.#ms += milliseconds
  }
}
