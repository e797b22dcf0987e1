import autocannon from 'autocannon'

/** A request to repeat. */
export interface Target {
  name: string
  url: string
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  /** A new one for each request. */
  body?: () => string
  /** The only status that counts. */
  status: number
}

export interface Round {
  requestsPerSecond: number
  p50Ms: number
  p99Ms: number
}

const CONNECTIONS = 10

/**
 * Repeats a request on ten kept-alive connections, each sending the next when the last was answered.
 *
 * @throws when an answer has another status than the target's
 */
export async function load(target: Target, durationMs: number): Promise<Round> {
  const { url, method = 'GET', headers = {}, body, status } = target
  const latenciesMs: number[] = [] // autocannon's own are whole milliseconds
  let wrong: number | null = null
  const startedAt = performance.now()
  await new Promise((resolve, reject) => {
    const request = {
      method,
      headers,
      ...(body ? { setupRequest: (next: object) => ({ ...next, body: body() }) } : {}),
    }
    const running = autocannon(
      { url, connections: CONNECTIONS, duration: durationMs / 1000, requests: [request] },
      (error, result) => (error ? reject(error) : resolve(result)),
    )
    running.on('response', (_client, statusCode, _bytes, responseMs) => {
      latenciesMs.push(responseMs)
      if (statusCode !== status) wrong = statusCode
    })
  })
  if (wrong !== null) throw new Error(`${target.name} answered ${wrong}`)
  const seconds = (performance.now() - startedAt) / 1000
  latenciesMs.sort((a, b) => a - b)
  return {
    requestsPerSecond: latenciesMs.length / seconds,
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
  }
}

/** The middle round by each measure: one disturbed round does not count. */
export function medianOf(rounds: readonly Round[]): Round {
  const middle = (measure: keyof Round) =>
    quantile(
      rounds.map((round) => round[measure]).sort((a, b) => a - b),
      0.5,
    )
  return { requestsPerSecond: middle('requestsPerSecond'), p50Ms: middle('p50Ms'), p99Ms: middle('p99Ms') }
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}
