import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { PlanInvalid } from '../errors.ts'
import { findActiveAgent, listActiveAgents } from '../store/agents.ts'
import { findTool } from '../tools/registry.ts'
import type { DecomposerJob } from './decomposer-job.ts'
import { type PlanScope, validatePlan } from './validate-plan.ts'

/** What a plan of this tenant may use now. @param allowedTools  null: every tool */
export async function planScope(db: TenantDb, allowedTools: readonly string[] | null): Promise<PlanScope> {
  const agents = await listActiveAgents(db)
  return { findTool, allowedTools, agentNames: agents.map(({ name }) => name) }
}

/**
 * A plan that was given, checked as a planned one is, and complete: a question instead of a plan is nothing to execute.
 *
 * @param plannerName  the agent whose tools the plan may use; null: every tool
 * @throws PlanInvalid
 */
export async function validated(db: TenantDb, candidate: unknown, plannerName: string | null): Promise<DecomposerJob> {
  const planner = plannerName === null ? null : await findActiveAgent(db, plannerName)
  const verdict = validatePlan(candidate, await planScope(db, planner?.allowedTools ?? null))
  if (!verdict.ok) throw new PlanInvalid({ problems: verdict.problems })
  if (verdict.plan.clarification_needed) {
    throw new PlanInvalid({
      problems: ['clarification_needed is true: a plan that asks for clarification cannot be executed.'],
    })
  }
  return verdict.plan
}
