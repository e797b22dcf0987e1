import type { Job } from '../reading/jobs.ts'
import { clip } from '../text/words.ts'
import { type Goal, isMeaningless, lacksObject } from './goal.ts'

const GIVE = 'Paste the text, or give a file along.'

/** The one question without whose answer there is nothing to work on; null when the goal can be planned. */
export function clarificationOf(goal: Goal, goalText: string, canUse: (source: string) => boolean): string | null {
  if (goal.isAnswered || goal.material !== null) return null
  if (goal.clauses.length === 0 || isMeaningless(goalText)) return `What should I do, and with which text? ${GIVE}`
  const wanted = goal.sources.length > 0 ? goal.sources : goal.inputs
  if (wanted.some(canUse)) return null
  const open = goal.clauses.find(
    (clause) => lacksObject(clause, goal.inputs) || (wanted.length > 0 && !clause.onlyReads),
  )
  if (wanted.length > 0 && open !== undefined)
    return `I have no tool here to read ${quoted(wanted)}. Can you paste its text?`
  if (open === undefined) return null
  if (goal.absentFiles.length > 0)
    return `I was not given ${quoted(goal.absentFiles)}. Can you paste its text, or give the file along?`
  return `${questionFor(open.jobs[0]!)} ${GIVE}`
}

function quoted(names: readonly string[]): string {
  return clip(names.slice(0, 5).join(', '), 500)
}

function questionFor(job: Job): string {
  switch (job.kind) {
    case 'summarise':
      return 'What should I summarise?'
    case 'outline':
      return 'What should I outline?'
    case 'combine':
      return 'What should I combine?'
    case 'count':
      return `In which text should I count the ${job.what === 'occurrences' ? 'term' : spoken(job.what)}?`
    case 'list':
      return `In which text should I look for ${spoken(job.what)}?`
    case 'keyPoints':
    case 'keySentences':
      return 'From which text should I take the key points?'
    default:
      return 'Which text should I work on?'
  }
}

function spoken(what: string): string {
  return what === 'actionItems' ? 'action items' : what
}
