import type { Agent } from '#desiagent/agents.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { createdRange } from '#kit/http/filters.ts'
import type { WorkflowContext } from '../context.ts'
import type { CreateAgent, ListAgentsQuery, UpdateAgent } from './contract.ts'

export function listAgents(ctx: WorkflowContext, query: ListAgentsQuery, page: PageRequest): Promise<Page<Agent>> {
  const { name, search } = query
  const isActive = query.status === undefined ? undefined : query.status === 'active'
  return ctx.desi.agents.list({ name, isActive, search, ...createdRange(query) }, page)
}

export function getAgent(ctx: WorkflowContext, id: string): Promise<Agent> {
  return ctx.desi.agents.get(id)
}

export function resolveAgent(ctx: WorkflowContext, name: string): Promise<Agent> {
  return ctx.desi.agents.resolve(name)
}

/** Creates a version of an agent. It is inactive until it is activated, so that running work does not change under anybody. */
export function createAgent(ctx: WorkflowContext, input: CreateAgent): Promise<Agent> {
  const { description = null, provider = null, model = null, allowedTools = null, constraints = null, ...rest } = input
  return ctx.desi.agents.create({ ...rest, description, provider, model, allowedTools, constraints }, ctx.commitWith)
}

export function updateAgent(ctx: WorkflowContext, id: string, input: UpdateAgent): Promise<Agent> {
  return ctx.desi.agents.update(id, input)
}

export function activateAgent(ctx: WorkflowContext, id: string): Promise<Agent> {
  return ctx.desi.agents.activate(id)
}

export function deleteAgent(ctx: WorkflowContext, id: string): Promise<void> {
  return ctx.desi.agents.remove(id)
}
