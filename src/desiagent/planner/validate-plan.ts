import type { z } from 'zod'
import type { Tool } from '../tools/tool.ts'
import { DecomposerJob, type SubTask } from './decomposer-job.ts'
import { findCycle } from './graph.ts'
import { isWholeReference, referencesIn, sameTask } from './references.ts'

/** What a plan may use. */
export interface PlanScope {
  findTool(name: string): Tool | null
  /** Null: every tool. */
  allowedTools: readonly string[] | null
  agentNames: readonly string[]
}

export type PlanVerdict = { ok: true; plan: DecomposerJob } | { ok: false; problems: string[] }

/**
 * The one way a plan gets in, wherever it comes from: shape, ids, dependencies, cycles, tools and their parameters,
 * agents, references. Each problem is named in a sentence that a model (or a person) can act on.
 */
export function validatePlan(candidate: unknown, scope: PlanScope): PlanVerdict {
  const parsed = DecomposerJob.safeParse(candidate)
  if (!parsed.success) return { ok: false, problems: parsed.error.issues.map(inWords) }
  const plan = normalised(parsed.data)
  if (plan.clarification_needed) return clarification(plan)
  const problems = [
    ...problemsOfGraph(plan.sub_tasks),
    ...plan.sub_tasks.flatMap((task) => problemsOfTask(task, scope)),
  ]
  return problems.length > 0 ? { ok: false, problems } : { ok: true, plan }
}

function clarification(plan: DecomposerJob): PlanVerdict {
  if (plan.clarification_query?.trim()) return { ok: true, plan }
  return { ok: false, problems: ['clarification_needed is true, but clarification_query is empty: ask one question.'] }
}

/** Dependencies in the spelling of the ids they mean; the word "none", which models write, is no dependency. */
function normalised(plan: DecomposerJob): DecomposerJob {
  const ids = plan.sub_tasks.map(({ id }) => id)
  const meant = (dependency: string) => ids.find((id) => sameTask(id, dependency)) ?? dependency
  const sub_tasks = plan.sub_tasks.map((task) => ({
    ...task,
    dependencies: [
      ...new Set(task.dependencies.filter((name) => name.toLowerCase() !== 'none' || ids.includes(name)).map(meant)),
    ],
  }))
  return { ...plan, sub_tasks }
}

function problemsOfGraph(tasks: readonly SubTask[]): string[] {
  if (tasks.length === 0) return ['sub_tasks is empty: a plan needs at least one task.']
  const ids = tasks.map(({ id }) => id)
  const duplicates = new Set(ids.filter((id, index) => ids.findIndex((other) => sameTask(other, id)) !== index))
  const problems = [...duplicates].map((id) => `Two tasks have the id "${id}"; ids must be unique.`)
  for (const { id, dependencies } of tasks) {
    for (const dependency of dependencies) {
      if (!ids.includes(dependency)) problems.push(`Task ${id} depends on "${dependency}", which does not exist.`)
    }
  }
  if (problems.length > 0) return problems
  const cycle = findCycle(tasks)
  return cycle ? [`These tasks wait for each other: ${cycle.join(' -> ')}. Remove the cycle.`] : []
}

function problemsOfTask(task: SubTask, scope: PlanScope): string[] {
  switch (task.action_type) {
    case 'tool':
      return problemsOfTool(task, scope)
    case 'inference':
      return problemsOfInference(task, scope)
    case 'skill':
      return [`Task ${task.id} uses the skill "${task.tool_or_prompt.name}", which does not exist.`]
  }
}

function problemsOfTool({ id, tool_or_prompt, dependencies }: SubTask, scope: PlanScope): string[] {
  const { name, params } = tool_or_prompt
  const tool = scope.findTool(name)
  if (!tool) return [`Task ${id} uses the tool "${name}", which does not exist.`]
  if (scope.allowedTools && !scope.allowedTools.includes(name))
    return [`Task ${id} uses the tool "${name}", which is not allowed here.`]

  const strangers = referencesIn(params).filter(({ taskId }) => !dependencies.some((other) => sameTask(other, taskId)))
  const problems = strangers.map(
    ({ taskId }) => `Task ${id} refers to the result of task ${taskId}, which is not among its dependencies.`,
  )
  const parsed = tool.parameters.safeParse(params)
  for (const issue of parsed.error?.issues ?? []) {
    // A value that is a reference has its type only when the plan runs; it is checked again then.
    if (!isInsideReference(params, issue.path)) problems.push(`Task ${id}, parameters of ${name}: ${inWords(issue)}`)
  }
  return problems
}

function problemsOfInference({ id, tool_or_prompt }: SubTask, scope: PlanScope): string[] {
  const { name, params } = tool_or_prompt
  const problems: string[] = []
  if (!scope.agentNames.includes(name)) problems.push(`Task ${id} asks the agent "${name}", which does not exist.`)
  const { prompt, ...others } = params
  if (typeof prompt !== 'string' || prompt.trim() === '')
    problems.push(`Task ${id} has no params.prompt for the agent.`)
  const unknown = Object.keys(others)
  if (unknown.length > 0) problems.push(`Task ${id}: an inference takes params.prompt only, not ${unknown.join(', ')}.`)
  return problems
}

function isInsideReference(params: unknown, path: readonly PropertyKey[]): boolean {
  let value = params
  for (const key of path) {
    if (isWholeReference(value)) return true
    value = (value as Record<PropertyKey, unknown> | null | undefined)?.[key]
  }
  return isWholeReference(value)
}

function inWords(issue: z.core.$ZodIssue): string {
  const path = issue.path.map(String).join('.')
  return path === '' ? issue.message : `${path}: ${issue.message}`
}
