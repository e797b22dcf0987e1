import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { PlanInvalid } from '../errors.ts'
import { listActiveAgents } from '../store/agents.ts'
import { findTool } from '../tools/registry.ts'
import type { DecomposerJob } from './decomposer-job.ts'
import { type PlanScope, validatePlan } from './validate-plan.ts'

/** What a plan of this tenant may use now. @param allowedTools  null: every tool */
export async function planScope(db: TenantDb, allowedTools: readonly string[] | null): Promise<PlanScope> {
  const agents = await listActiveAgents(db)
  return { findTool, allowedTools, agentNames: agents.map(({ name }) => name) }
}

/** A plan that was given, checked as a planned one is. @throws PlanInvalid */
export async function validated(db: TenantDb, candidate: unknown): Promise<DecomposerJob> {
  const verdict = validatePlan(candidate, await planScope(db, null))
  if (!verdict.ok) throw new PlanInvalid({ problems: verdict.problems })
  return verdict.plan
}
