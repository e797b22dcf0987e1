import type { DecomposerJob, SubTask } from '#desiagent/planner/decomposer-job.ts'
import { clip, listed } from './words.ts'

/**
 * The plan as a tree, each task once: below the last of the tasks it waits for, with the names of all of them.
 *
 * @param width  characters in a line
 */
export function planTree({ sub_tasks: tasks }: DecomposerJob, width: number): string[] {
  const depths = depthsOf(tasks)
  const children = new Map<string | null, SubTask[]>()
  for (const task of tasks) {
    const parent = lastDependency(task, depths)
    children.set(parent, [...(children.get(parent) ?? []), task])
  }

  const lines: string[] = []
  const draw = (task: SubTask, stem: string, branch: string) => {
    lines.push(taskLine(task, stem + branch, width))
    const below = children.get(task.id) ?? []
    const nextStem = stem + (branch === '' ? '' : branch === '├─ ' ? '│  ' : '   ')
    below.forEach((child, index) => {
      draw(child, nextStem, index === below.length - 1 ? '└─ ' : '├─ ')
    })
  }
  for (const root of children.get(null) ?? []) draw(root, '', '')
  return lines
}

/** One sentence about which tasks do not wait for each other. */
export function parallelism({ sub_tasks: tasks }: DecomposerJob): string {
  if (tasks.length < 2) return 'It is a single task.'
  const depths = depthsOf(tasks)
  const waves = Map.groupBy(tasks, ({ id }) => depths.get(id) ?? 1)
  const parallel = [...waves.values()].filter((wave) => wave.length > 1)
  if (parallel.length === 0) return 'One after the other: each task waits for the one before it.'
  return `At the same time: ${parallel.map((wave) => listed(wave.map(({ id }) => id))).join('; then ')}.`
}

/** How many tasks stand one behind the other up to this one. Plans come validated: every dependency exists, no cycle. */
function depthsOf(tasks: readonly SubTask[]): Map<string, number> {
  const byId = new Map(tasks.map((task) => [task.id, task]))
  const depths = new Map<string, number>()
  const measure = (task: SubTask): number => {
    const known = depths.get(task.id)
    if (known !== undefined) return known
    const before = task.dependencies.flatMap((id) => byId.get(id) ?? []).map(measure)
    const depth = 1 + Math.max(0, ...before)
    depths.set(task.id, depth)
    return depth
  }
  for (const task of tasks) measure(task)
  return depths
}

function lastDependency({ dependencies }: SubTask, depths: ReadonlyMap<string, number>): string | null {
  return dependencies.reduce<string | null>((last, id) => {
    return last === null || (depths.get(id) ?? 0) >= (depths.get(last) ?? 0) ? id : last
  }, null)
}

function taskLine(task: SubTask, branch: string, width: number): string {
  const { id, description, action_type, tool_or_prompt, dependencies } = task
  const worker = `${action_type === 'inference' ? 'agent' : action_type} ${tool_or_prompt.name}`
  const waits = dependencies.length === 0 ? '' : `, after ${dependencies.join(', ')}`
  const behind = `  [${worker}${waits}]`
  const room = width - branch.length - id.length - 2 - behind.length
  return `${branch}${id}  ${clip(description, Math.max(room, 24))}${behind}`
}
