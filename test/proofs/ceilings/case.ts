import type { ExecutionLimits } from '#desiagent/limits.ts'
import type { Chance } from '../chance.ts'
import { randomSteps, type StepSketch } from '../step-sketches.ts'

/** Of a model whose price is public, in USD per million tokens, which is micro-USD per token. */
export interface PricedModel {
  name: string
  prompt: number
  cached: number
  completion: number
}

const MODELS: readonly PricedModel[] = [
  { name: 'gpt-4o', prompt: 2.5, cached: 1.25, completion: 10 },
  { name: 'gpt-4o-mini', prompt: 0.15, cached: 0.075, completion: 0.6 },
]

/** A piece of work with limits, and the mood of the model that does it. */
export interface Case {
  name: string
  steps: readonly StepSketch[]
  /** Planned by `create-execute`; else given. */
  isPlanned: boolean
  model: PricedModel
  limits: ExecutionLimits
  /** Bytes that are one token. */
  bytesPerToken: number
}

export function randomCase(chance: Chance, name: string): Case {
  const isPlanned = chance.share() < 0.5
  const model = chance.pick(MODELS)
  return {
    name,
    steps: randomSteps(chance, chance.whole(1, 10), 0, 60),
    isPlanned,
    model,
    limits: randomLimits(chance, isPlanned, model),
    bytesPerToken: 1 + chance.share() * 3,
  }
}

/** From far too little up to more than enough; a planner's question alone has thousands of bytes. */
function randomLimits(chance: Chance, isPlanned: boolean, { completion }: PricedModel): ExecutionLimits {
  const tokens = isPlanned ? chance.spread(5_000, 200_000) : chance.spread(500, 60_000)
  const all = {
    maxTokens: tokens,
    maxCostUsdMicros: Math.max(1, Math.round(chance.spread(2_000, 200_000) * (completion / 10) * (isPlanned ? 2 : 1))),
    maxSteps: chance.whole(1, 12),
    maxWallMs: chance.spread(30, 5_000),
  }
  const names = Object.keys(all) as (keyof typeof all)[]
  const chosen = names.filter(() => chance.share() < 0.4)
  if (chosen.length === 0) chosen.push(chance.pick(names))
  return Object.fromEntries(chosen.map((limit) => [limit, all[limit]]))
}
