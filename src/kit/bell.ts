/** Wakes one who waits. Rung while nobody does, it is heard by the next who waits, unless it is hushed before. */
export class Bell {
  #hasRung = false
  #wakeUp = () => {}

  /** May be handed on alone. */
  readonly ring = (): void => {
    this.#hasRung = true
    this.#wakeUp()
  }

  hush(): void {
    this.#hasRung = false
  }

  /** Resolves when it rings, or at once when it has: true; after `ms`: false. */
  wait(ms: number): Promise<boolean> {
    if (this.#hasRung) return Promise.resolve(true)
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms)
      this.#wakeUp = () => {
        clearTimeout(timer)
        resolve(true)
      }
    })
  }
}
