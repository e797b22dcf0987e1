import type { DecomposerJob } from '#desiagent/planner/decomposer-job.ts'
import type { Dag } from '#features/workflows/dags/contract.ts'
import type { ApiClient, EndedExecution } from './api-client.ts'
import type { Wish } from './arguments.ts'
import { askOnTerminal } from './clarify.ts'
import { parallelism, planTree } from './plan-tree.ts'
import { Progress } from './progress.ts'
import { showArtifacts, showCosts, showModels, showResult } from './report.ts'
import type { Screen } from './screen.ts'
import { clip, duration, plural, sentence, wrapped } from './words.ts'

/** How the demo ended; `reason` says why it did not end well. */
export interface Ending {
  exitCode: number
  executionId: string | null
  reason: string | null
}

export interface Stage {
  api: ApiClient
  screen: Screen
  signal: AbortSignal
}

/**
 * Plans the goal, executes the plan and shows both, as any client of the API could.
 *
 * @throws CommandError with the API's sentence when it refuses
 */
export async function pursue(stage: Stage, wish: Wish): Promise<Ending> {
  const dag = await planned(stage, wish)
  if (dag.status !== 'success' || !dag.plan) return { exitCode: 2, executionId: null, reason: howToAnswer(wish) }
  showPlan(stage.screen, dag, dag.plan)

  const executionId = await stage.api.executeDag(dag.id)
  await follow(stage, executionId, dag.plan)
  const execution = await stage.api.getExecutionDetails(executionId)
  const cost = await stage.api.getExecutionCost(executionId)
  showResult(stage.screen, execution)
  await showArtifacts(stage, executionId)
  showCosts(stage.screen, cost)
  await showModels(stage, cost)
  const reason = whyIncomplete(execution)
  return { exitCode: reason === null ? 0 : 1, executionId, reason }
}

/** The planned DAG, or the one with the question that nobody answered. */
async function planned({ api, screen, signal }: Stage, { goalText, inputs, answers }: Wish): Promise<Dag> {
  const left = [...answers]
  let dag = await whilePlanning(screen, () => api.createDag({ goalText, inputs }))
  while (dag.status === 'clarification_required') {
    screen.title('The planner asks')
    for (const line of wrapped(dag.clarificationQuery ?? '', screen.width - 2)) screen.print(`  ${line}`)
    const given = left.shift()
    if (given !== undefined) screen.print(`  Your answer: ${clip(given, screen.width - 16)}`)
    const answer = given ?? (await askOnTerminal(signal))
    if (answer === null) return dag
    const { id } = dag
    dag = await whilePlanning(screen, () => api.resumeClarification(id, answer))
  }
  return dag
}

async function whilePlanning<T>(screen: Screen, plan: () => Promise<T>): Promise<T> {
  const startedAt = performance.now()
  screen.busy(() => `Planning · ${duration(performance.now() - startedAt)}`)
  try {
    return await plan()
  } finally {
    screen.rest()
  }
}

function showPlan(screen: Screen, dag: Dag, plan: DecomposerJob): void {
  screen.title(`Plan: ${clip(dag.dagTitle, screen.width - 30)} (${plural(plan.sub_tasks.length, 'task')})`)
  for (const attempt of dag.planning.attempts) {
    if (attempt.errorMessage === null || attempt.reason === 'title_master') continue
    screen.print(
      `  ${screen.paint('yellow', `Attempt ${attempt.attempt} was of no use: ${sentence(attempt.errorMessage)}`)}`,
    )
  }
  for (const line of planTree(plan, screen.width - 2)) screen.print(`  ${line}`)
  screen.print(`  ${screen.paint('dim', parallelism(plan))}`)
}

async function follow({ api, screen }: Stage, executionId: string, plan: DecomposerJob): Promise<void> {
  screen.title('Run')
  const progress = new Progress(screen, plan)
  progress.begin()
  try {
    for await (const event of api.followExecution(executionId)) progress.show(event)
  } finally {
    progress.end()
  }
}

function howToAnswer({ answers }: Wish): string {
  const again = answers.length > 0 ? 'one more --answer' : '--answer'
  return `The goal needs an answer to that question. Run it again with ${again}: npm run demo -- "the same goal" --answer "your answer"`
}

/** Null when it is complete. */
function whyIncomplete({ status, subSteps, suspendedReason }: EndedExecution): string | null {
  if (status === 'completed') return null
  if (status === 'suspended') return `The execution is suspended. ${sentence(suspendedReason ?? 'Nobody knows why')}`
  const failed = subSteps.filter((step) => step.status === 'failed')
  const skipped = subSteps.filter((step) => step.status === 'skipped')
  const reasons = failed.map(({ taskId, error }) => sentence(`${taskId} failed: ${error?.message ?? 'unknown'}`))
  const left = skipped.length > 0 ? [`Skipped: ${skipped.map(({ taskId }) => taskId).join(', ')}.`] : []
  return [`The execution ended as ${status}.`, ...reasons, ...left].join(' ')
}
