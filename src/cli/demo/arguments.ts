import { parseArgs } from 'node:util'
import { CommandError } from '../command-error.ts'
import { type Input, readInputs } from './inputs.ts'
import { SAMPLE, usualGoal } from './sample.ts'

export const DEMO_HELP = `demo ["GOAL"] [--input FILE]… [--answer TEXT]… [--keep]
  Starts the API on a free port over a temporary folder, turns the goal into a plan, runs it and shows the result.
  Without a goal it works on meeting notes of its own. With npm: npm run demo -- "GOAL" --input FILE
  --input FILE           a text file that goes along with the goal; can be repeated
  --answer TEXT          answers what the planner asks back; can be repeated, used in order
  --keep                 leave the server running and the data in place, and show how to call it`

export interface Wish {
  goalText: string
  inputs: Input[]
  answers: string[]
  isKept: boolean
}

/** @throws CommandError when a file cannot be sent */
export async function readArguments(args: string[]): Promise<Wish> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      input: { type: 'string', multiple: true, default: [] },
      answer: { type: 'string', multiple: true, default: [] },
      keep: { type: 'boolean', default: false },
    },
  })
  const given = await readInputs(values.input)
  const goalText = positionals.join(' ').trim()
  if (positionals.length > 0 && goalText === '') throw new CommandError('The goal is empty. Say what should be done.')
  const inputs = positionals.length === 0 && given.length === 0 ? [SAMPLE] : given
  return { goalText: goalText || usualGoal(inputs), inputs, answers: values.answer, isKept: values.keep }
}
