/** Tells readers of an event log that it has grown. A hint: a reader that misses it reads again at its next heartbeat. */
export interface Wake {
  notify(topic: string): void
  /** Calls `listener` at each notification until the returned function is called. */
  subscribe(topic: string, listener: () => void): () => void
}
