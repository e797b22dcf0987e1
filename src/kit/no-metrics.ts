import type { Metrics } from '#ports/metrics.ts'

/** Where nobody asks for figures: Workers, tests, whoever embeds desiAgent. */
export const NO_METRICS: Metrics = { request() {}, modelCall() {}, execution() {} }
