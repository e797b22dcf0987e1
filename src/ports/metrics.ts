/** What is counted about this process. Labels have few values: routes, states, known models; never ids or names of tenants. */
export interface Metrics {
  request(call: { route: string; method: string; status: number; seconds: number }): void
  modelCall(call: ModelCallMeasure): void
  /** An execution has come to this state. */
  execution(status: string): void
}

export interface ModelCallMeasure {
  provider: string
  model: string
  /** `ok`, or the code of the error. */
  outcome: string
  seconds: number
  promptTokens: number
  completionTokens: number
  cachedTokens: number
}
