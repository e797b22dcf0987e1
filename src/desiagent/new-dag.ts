import type { Agent } from './agents.ts'
import type { Dag, DagInput, Definition, NewDag } from './dag.ts'
import type { DesiAgentParts } from './parts.ts'
import type { DecomposerJob } from './planner/decomposer-job.ts'
import { titleFromGoal } from './planner/plan-goal.ts'
import { ruleAfter } from './schedules/of-dag.ts'
import { NO_SCHEDULE } from './schedules/schedule.ts'
import { contentTypeOf } from './tools/content-type.ts'

/** A DAG that is about to be planned. */
export function draftDag({ shared }: DesiAgentParts, id: string, input: NewDag, planner: Agent): Dag {
  const { goalText, provider, model, temperature, maxTokens, seed } = input
  return {
    ...blank(id, shared.now()),
    dagTitle: titleFromGoal(goalText),
    status: 'planning',
    goalText,
    agentName: planner.name,
    agentVersion: planner.version,
    params: { provider, model, temperature, maxTokens, seed },
    ...ruleAfter(input, NO_SCHEDULE),
    createdBy: input.createdBy ?? null,
  }
}

/** A DAG whose plan was given. */
export function definitionDag(
  { shared }: DesiAgentParts,
  { title, provider, model, createdBy = null }: Definition,
  plan: DecomposerJob,
): Dag {
  return {
    ...blank(shared.newId(), shared.now()),
    dagTitle: title ?? plan.title ?? titleFromGoal(plan.original_request),
    status: 'success',
    goalText: plan.original_request,
    params: { provider, model },
    plan,
    createdBy,
  }
}

function blank(id: string, now: Date) {
  const at = now.toISOString()
  return {
    id,
    agentName: null,
    agentVersion: null,
    plan: null,
    clarificationQuery: null,
    clarifications: [],
    planningAttempts: [],
    error: null,
    ...NO_SCHEDULE,
    createdBy: null,
    createdAt: at,
    updatedAt: at,
  }
}

/** Keeps the texts given along with a goal. Bytes first, rows later: a blob without a row is waste, a row without its blob a loss. */
export async function keepInputs(
  { tenantId, shared }: DesiAgentParts,
  dagId: string,
  inputs: readonly { name: string; content: string }[],
): Promise<DagInput[]> {
  return Promise.all(
    inputs.map(async ({ name, content }) => {
      const bytes = new TextEncoder().encode(content)
      const blobKey = `${tenantId}/dags/${dagId}/${shared.newId()}`
      await shared.blobs.put(blobKey, bytes)
      return { name, contentType: contentTypeOf(name), sizeBytes: bytes.byteLength, blobKey }
    }),
  )
}
