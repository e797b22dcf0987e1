import type { Log } from '#ports/log.ts'

/** Something the product needs from outside of itself. */
export interface Dependency {
  /** Resolves when it works and rejects when it does not. */
  check(): Promise<unknown>
  /** Without it no request can be served; without any other, some. */
  isEssential: boolean
}

export interface DependencyStates {
  states: Record<string, 'ok' | 'failed'>
  /** The worst of them. */
  status: 'ready' | 'degraded' | 'not_ready'
}

const CHECK_LIMIT_MS = 2_000

/** Watches dependencies; why one fails goes to the log, once until it works again. */
export class Dependencies {
  readonly #dependencies: Readonly<Record<string, Dependency>>
  readonly #log: Log
  readonly #failing = new Set<string>()

  constructor(dependencies: Readonly<Record<string, Dependency>>, log: Log) {
    this.#dependencies = dependencies
    this.#log = log
  }

  /** Asks each, all at once, each for at most two seconds. */
  async ask(): Promise<DependencyStates> {
    const asked = await Promise.all(
      Object.entries(this.#dependencies).map(async ([name, { check, isEssential }]) => {
        const failure = await failureOf(check)
        this.#note(name, failure)
        return { name, isEssential, hasFailed: failure !== null }
      }),
    )
    const failed = asked.filter(({ hasFailed }) => hasFailed)
    return {
      states: Object.fromEntries(asked.map(({ name, hasFailed }) => [name, hasFailed ? 'failed' : 'ok'])),
      status: failed.some(({ isEssential }) => isEssential) ? 'not_ready' : failed.length > 0 ? 'degraded' : 'ready',
    }
  }

  #note(dependency: string, failure: { err: unknown } | null): void {
    if ((failure !== null) === this.#failing.has(dependency)) return
    if (failure) {
      this.#failing.add(dependency)
      this.#log.warn({ dependency, ...failure }, 'a dependency fails')
    } else {
      this.#failing.delete(dependency)
      this.#log.info({ dependency }, 'a dependency works again')
    }
  }
}

async function failureOf(check: () => Promise<unknown>): Promise<{ err: unknown } | null> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${CHECK_LIMIT_MS} ms`)), CHECK_LIMIT_MS)
  try {
    await Promise.race([check(), late.promise])
    return null
  } catch (err) {
    return { err }
  } finally {
    clearTimeout(timer)
  }
}

/** Checks at most once in `everyMs`, however often and by however many at once it is asked. */
export function remembered(check: () => Promise<unknown>, everyMs: number, nowMs: () => number) {
  let last: { at: number; outcome: Promise<unknown> } | undefined
  return (): Promise<unknown> => {
    const now = nowMs()
    if (!last || now - last.at >= everyMs) last = { at: now, outcome: check() }
    return last.outcome
  }
}
