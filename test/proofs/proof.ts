export interface ProofOptions {
  /** How many of what the proof counts. */
  n: number
  /** The same seed makes the same work; the moments depend on the machine. */
  seed: number
  /** How the databases are written: SQLITE_SYNCHRONOUS. */
  durable: 'NORMAL' | 'FULL'
  /** What a timer may be late on a machine that has other things to do. */
  lateMs: number
  say(line: string): void
}

/** Does the work against a server of its own and says the figures. @returns what was violated; nothing: the promise was kept */
export type Proof = (options: ProofOptions) => Promise<string[]>
