import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Metrics, ModelCallMeasure } from '#ports/metrics.ts'
import { processMetrics } from './process-metrics.ts'

export interface PromParts {
  /** The name a model's figures are kept under. One of few: tenants name models as they like. */
  modelLabel(provider: string, model: string): string
  /** What is read only when somebody scrapes, by the metric's name. */
  gauges: Record<string, { help: string; read(): number }>
}

export interface PromMetrics extends Metrics {
  /** In the text exposition format 0.0.4. */
  exposition(): Promise<string>
}

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
// Planning a goal takes a minute where reading a list takes a millisecond.
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const MODEL_CALL_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120]

/** Figures of this application in a registry of its own: no timers, nothing global. */
export function promMetrics({ modelLabel, gauges }: PromParts): PromMetrics {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Histogram({
    name: 'desi_http_request_duration_seconds',
    help: 'Time from a request to the head of its answer, by operation.',
    labelNames: ['route', 'method', 'status'],
    buckets: REQUEST_SECONDS,
    registers,
  })
  const executions = new Counter({
    name: 'desi_executions_total',
    help: 'Executions that came to this state.',
    labelNames: ['status'],
    registers,
  })
  for (const [name, { help, read }] of Object.entries(gauges)) {
    new Gauge({ name, help, registers, collect: setTo(read) })
  }
  processMetrics(registers)

  // A child keeps its labels checked and joined; there are as few as there are operations and statuses.
  const children = new Map<string, { observe(seconds: number): void }>()
  return {
    request({ route, method, status, seconds }) {
      const known = METHODS.has(method) ? method : 'OTHER'
      const key = `${route} ${known} ${status}`
      const child = children.get(key) ?? requests.labels(route, known, String(status))
      children.set(key, child)
      child.observe(seconds)
    },
    execution: (status) => executions.inc({ status }),
    modelCall: modelCalls(registers, modelLabel),
    exposition: () => registry.metrics(),
  }
}

function modelCalls(registers: Registry[], modelLabel: PromParts['modelLabel']): Metrics['modelCall'] {
  const labelNames = ['provider', 'model'] as const
  const total = new Counter({
    name: 'desi_model_calls_total',
    help: 'Calls of models; the outcome is ok or the code of the error.',
    labelNames: [...labelNames, 'outcome'],
    registers,
  })
  const duration = new Histogram({
    name: 'desi_model_call_duration_seconds',
    help: 'Time a model took to answer or fail.',
    labelNames,
    buckets: MODEL_CALL_SECONDS,
    registers,
  })
  const tokens = new Counter({
    name: 'desi_tokens_total',
    help: 'Tokens that models counted; cached ones are among those of the prompt.',
    labelNames: [...labelNames, 'kind'],
    registers,
  })
  return ({ provider, model: name, outcome, seconds, ...used }: ModelCallMeasure) => {
    const model = modelLabel(provider, name)
    total.inc({ provider, model, outcome })
    duration.observe({ provider, model }, amount(seconds))
    tokens.inc({ provider, model, kind: 'prompt' }, amount(used.promptTokens))
    tokens.inc({ provider, model, kind: 'completion' }, amount(used.completionTokens))
    tokens.inc({ provider, model, kind: 'cached' }, amount(used.cachedTokens))
  }
}

/** prom-client throws at what no counter takes, and a provider that counts strangely must not fail the call. */
function amount(told: number): number {
  return Number.isFinite(told) && told > 0 ? told : 0
}

/** prom-client hands the gauge over as `this`. */
function setTo(read: () => number) {
  return function (this: Gauge) {
    this.set(read())
  }
}
