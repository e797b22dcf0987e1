import { expect, test } from 'vitest'
import { startApi } from '#test/support/start-api.ts'

const NOTES = '# Notes\n\nAlice will call Bob. We decided to ship on Friday.\n\n- [ ] send the mail\n'

test('a goal becomes a plan, runs and answers, over HTTP', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')

  const execution = await acme.run('Summarise notes.md and write the result to out.md', {
    inputs: [{ name: 'notes.md', content: NOTES }],
  })

  expect(execution).toMatchObject({
    status: 'completed',
    totalTasks: 3,
    completedTasks: 3,
    failedTasks: 0,
    costUsdMicros: 0,
  })
  expect(execution.finalResult).toContain('Friday')
  const { body: artifacts } = await acme.get(`/executions/${execution.id}/artifacts`)
  const output = artifacts.data.find(({ origin }: { origin: string }) => origin === 'output')
  expect(output).toMatchObject({ name: 'out.md', contentType: 'text/markdown; charset=utf-8' })
  const file = await acme.raw(`/api/v2/executions/${execution.id}/artifacts/${output.id}`)
  expect(await file.text()).toContain('Friday')
  expect(file.headers.get('content-disposition')).toBe("attachment; filename*=UTF-8''out.md")
})

test('the event log tells the whole story once, in order', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')

  const execution = await acme.run('Count the words of this text: "one two three"')
  const events = await acme.events(execution.id)

  expect(events.map(({ id }) => id)).toEqual(events.map((_, index) => index + 1))
  expect(events.map(({ event }) => event)).toEqual([
    'execution:started',
    'execution:wave_started',
    'execution:task_started',
    'execution:task_completed',
    'execution:wave_completed',
    'execution:synthesis_started',
    'execution:synthesis_completed',
    'execution:completed',
  ])
})
