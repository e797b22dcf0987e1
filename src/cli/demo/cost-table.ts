import type { Cost } from './api-client.ts'
import { cost as money, whole } from './words.ts'

type Attempt = Cost['planning']['attempts'][number]
/** Why the planner was asked again. */
const REASONS: Partial<Record<Attempt['reason'], string>> = {
  retry_gaps: ', to close gaps',
  retry_parse_error: ', after an unreadable one',
  retry_validation: ', after an invalid one',
}

interface Spent {
  usage: Cost['planning']['usage']
  costUsdMicros: number | null
}

/** Tokens and cost of each planning attempt, step and the synthesis, and their sum. */
export function costTable({ planning, execution, totals }: Cost): string[] {
  const { promptTokens, completionTokens, totalTokens } = planning.usage
  const rows = [
    ['', 'model', 'input', 'output', 'tokens', 'cost'],
    ...planningRows(planning.attempts),
    ...execution.subSteps.map((step) => row(`${step.taskId}  ${step.toolOrPromptName}`, step.model ?? '–', step)),
    row('Synthesis', '', execution.synthesis),
    [
      'Total',
      '',
      whole(promptTokens + execution.usage.promptTokens),
      whole(completionTokens + execution.usage.completionTokens),
      whole(totalTokens + execution.usage.totalTokens),
      money(totals.grandTotalCostUsdMicros),
    ],
  ]
  return aligned(rows)
}

/** What the table leaves open, in words; null when it leaves nothing open. */
export function unpricedNote({ unpriced }: Cost): string | null {
  if (unpriced.length === 0) return null
  const models = [...new Set(unpriced.map(({ provider, model }) => `${model} (${provider})`))]
  return `A cost is unknown where there is no price for the model or no count of its tokens: ${models.join(', ')}.`
}

function planningRows(attempts: readonly Attempt[]): string[][] {
  let plans = 0
  return attempts.map((attempt) => {
    if (attempt.reason === 'title_master') return row('Title', '', attempt)
    plans += 1
    return row(`Plan ${plans}${REASONS[attempt.reason] ?? ''}`, '', attempt)
  })
}

/** The models that worked on steps, each with its provider. */
export function modelsUsed({ execution }: Cost): string[] {
  const used = execution.subSteps.flatMap(({ provider, model }) => (model === null ? [] : [`${model} (${provider})`]))
  return [...new Set(used)]
}

function row(what: string, model: string, { usage, costUsdMicros }: Spent): string[] {
  if (usage.totalTokens === 0 && costUsdMicros === 0) return [what, model, '–', '–', '–', money(0)]
  const { promptTokens, completionTokens, totalTokens } = usage
  return [what, model, whole(promptTokens), whole(completionTokens), whole(totalTokens), money(costUsdMicros)]
}

/** The first two columns are words and stand on the left; numbers stand on the right. */
function aligned(rows: readonly string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => cells[column]!.length)))
  return rows.map((cells) =>
    cells
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  )
}
