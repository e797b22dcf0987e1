import type { Input } from './inputs.ts'

/** What the demo works on when nobody brings a text. */
export const SAMPLE: Input = {
  name: 'meeting-notes.md',
  content: `# Release meeting, 12 May

Maya (product), Jonas (backend), Aiko (design) and Samuel (support) met for an hour.

The beta has 41 active teams. Support counts nine tickets a week, and most of them are about slow CSV imports.
Jonas found the cause: every row is checked alone. Checked in batches, 50,000 rows take 40 seconds instead of six minutes.
Aiko showed the new import page, where each error stands next to the row it belongs to. Everybody wants to keep that.
Version 2.4 ships on 26 May if the batch import is merged by 19 May; otherwise the release moves to June.

- TODO: Jonas merges the batch import by 19 May.
- TODO: Aiko hands over the final import page by 15 May.
- TODO: Samuel writes the help article about CSV files by 22 May.
- TODO: Maya tells the beta teams the release date.
`,
}

/** A goal whose middle steps do not wait for each other. */
export function usualGoal(inputs: readonly Input[]): string {
  const names = inputs.map(({ name }) => name).join(' and ')
  const its = inputs.length === 1 ? 'its' : 'their'
  return `Summarise ${names}, list ${its} action items and count ${its} words, then write the result to report.md`
}
