import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { DagParams } from '../dag.ts'
import type { ExecutionLimits } from '../limits.ts'
import type { Models } from '../models/registry.ts'
import type { DecomposerJob } from '../planner/decomposer-job.ts'
import { listActiveChoices } from '../store/agents.ts'
import { knownPriceOf } from './budget.ts'

/** Agents that any execution may ask beside those its plan names: for its tools, and at its end. */
const ALWAYS_ASKED: readonly string[] = ['inference', 'synthesizer']

/** Who is asked, with what. */
export interface PricedWork {
  limits: ExecutionLimits | null
  params: DagParams
}

/**
 * Money can be limited only where prices are known: asked before any call is made.
 *
 * @throws UnpricedModel
 */
export async function assertPricedForPlan(
  db: TenantDb,
  models: Models,
  work: PricedWork,
  plan: DecomposerJob,
): Promise<void> {
  const named = plan.sub_tasks.filter(({ action_type }) => action_type !== 'tool')
  const names = named.map(({ tool_or_prompt }) => tool_or_prompt.name)
  await assertPriced(db, models, work, [...names, ...ALWAYS_ASKED])
}

/** The same for a goal that is to be planned. @throws UnpricedModel */
export async function assertPricedForGoal(
  db: TenantDb,
  models: Models,
  work: PricedWork,
  plannerName: string,
): Promise<void> {
  await assertPriced(db, models, work, [plannerName, 'titler', ...ALWAYS_ASKED])
}

async function assertPriced(
  db: TenantDb,
  models: Models,
  { limits, params }: PricedWork,
  names: readonly string[],
): Promise<void> {
  if (limits?.maxCostUsdMicros === undefined) return
  const asked = (await listActiveChoices(db)).filter(({ name }) => names.includes(name))
  for (const { provider, model } of asked) knownPriceOf(models.resolve(params, { provider, model }), 1, 1)
}
