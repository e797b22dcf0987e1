import fc from 'fast-check'
import { expect, test } from 'vitest'
import { planOf, type TaskSketch } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

/** Random graphs of steps that write a file, or fail because they read one that is not there. */
const randomTasks: fc.Arbitrary<TaskSketch[]> = fc
  .array(fc.record({ fails: fc.boolean(), after: fc.array(fc.nat(), { maxLength: 3 }) }), {
    minLength: 1,
    maxLength: 12,
  })
  .map((sketches) =>
    sketches.map(({ fails, after }, index) => ({
      id: `t${index}`,
      ...(fails
        ? { tool: 'readFile', params: { path: 'absent.md' } }
        : { tool: 'writeFile', params: { path: `t${index}.md`, content: `file ${index}` } }),
      dependencies: index === 0 ? [] : [...new Set(after.map((number) => `t${number % index}`))],
    })),
  )

test('the numbers of one execution agree with each other in every view', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')

  await fc.assert(
    fc.asyncProperty(randomTasks, async (tasks) => {
      const execution = await acme.runDefinition(planOf(tasks))
      const events = await acme.events(execution.id)
      const { body: cost } = await acme.get(`/costs/executions/${execution.id}`)
      const { body: dagCost } = await acme.get(`/costs/dags/${execution.dagId}`)
      const { body: artifacts } = await acme.get(`/executions/${execution.id}/artifacts?includeTotal=true`)

      const expected = expectedStatuses(tasks)
      const count = (status: string) => [...expected.values()].filter((value) => value === status).length
      const told = (type: string) => events.filter(({ event }) => event === type).length
      expect(
        new Map(execution.subSteps.map((step: { taskId: string; status: string }) => [step.taskId, step.status])),
      ).toEqual(expected)
      expect(execution).toMatchObject({
        status: count('completed') === tasks.length ? 'completed' : count('completed') > 0 ? 'partial' : 'failed',
        totalTasks: tasks.length,
        completedTasks: count('completed'),
        failedTasks: count('failed'),
        skippedTasks: count('skipped'),
      })
      expect(told('execution:task_completed')).toBe(count('completed'))
      expect(told('execution:task_failed')).toBe(count('failed'))
      expect(told('execution:task_skipped')).toBe(count('skipped'))
      expect(events.map(({ id }) => id)).toEqual(events.map((_, index) => index + 1))
      expect(told('execution:wave_started')).toBe(told('execution:wave_completed'))
      expect(artifacts.pagination.total).toBe(count('completed'))
      const spent = { usage: execution.totalUsage, costUsdMicros: execution.costUsdMicros }
      expect(cost.execution).toMatchObject(spent)
      expect(dagCost.executions).toEqual({ ...spent, count: 1, calls: told('execution:synthesis_completed') })
      expect(dagCost.totals.grandTotalCostUsdMicros).toBe(cost.totals.grandTotalCostUsdMicros)
    }),
    { numRuns: 40 },
  )
})

/** What the vocabulary says must come out: a step whose way to it is blocked is skipped. */
function expectedStatuses(tasks: readonly TaskSketch[]): Map<string, string> {
  const statuses = new Map<string, string>()
  for (const { id, tool, dependencies = [] } of tasks) {
    const isReachable = dependencies.every((dependency) => statuses.get(dependency) === 'completed')
    statuses.set(id, !isReachable ? 'skipped' : tool === 'readFile' ? 'failed' : 'completed')
  }
  return statuses
}
