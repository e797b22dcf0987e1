/**
 * desiAgent: agents, plans, executions, tools, costs and artifacts over one tenant's database. It knows no HTTP and no
 * other tenant.
 *
 * @example
 * ```ts
 * const desi = createDesiAgent({ tenantId, db, directory, shared })
 * const dag = await desi.dags.create({ goalText: 'Summarise notes.md', inputs: [{ name: 'notes.md', content }] })
 * const { executionId } = await desi.dags.execute(dag.id)
 * await desi.executions.run(executionId)
 * console.log((await desi.executions.get(executionId)).finalResult)
 * ```
 */
import { agentsOf } from './agents.ts'
import { costsOf } from './costs.ts'
import { dagsOf } from './dags.ts'
import { ToolNotFound } from './errors.ts'
import { artifactsOf, executionsOf } from './executions.ts'
import { experimentsOf } from './experiments.ts'
import type { DesiAgentParts } from './parts.ts'
import { schedulesOf } from './schedules.ts'
import { describeTools, type ToolDescription } from './tools/registry.ts'

export type DesiAgent = ReturnType<typeof createDesiAgent>

export function createDesiAgent(parts: DesiAgentParts) {
  const dags = dagsOf(parts)
  return {
    agents: agentsOf(parts),
    dags,
    experiments: experimentsOf(parts),
    executions: executionsOf(parts),
    schedules: schedulesOf(parts, dags),
    artifacts: artifactsOf(parts),
    costs: costsOf(parts),
    tools: TOOLS,
  }
}

const TOOLS = {
  list: (): readonly ToolDescription[] => describeTools(),

  /** @throws ToolNotFound */
  get(name: string): ToolDescription {
    const [tool] = describeTools([name])
    if (!tool) throw new ToolNotFound()
    return tool
  },
}

export { type Metering, NO_METERING } from './metering.ts'
export type { DesiAgentParts, EngineSettings, SharedParts } from './parts.ts'
