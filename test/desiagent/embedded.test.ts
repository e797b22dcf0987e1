import { expect, test } from 'vitest'
import { createDesiAgent } from '#desiagent/index.ts'
import { embeddedParts } from './embedded-parts.ts'

test('desiAgent plans, runs and answers without the API', async () => {
  const desi = createDesiAgent(await embeddedParts())

  const dag = await desi.dags.create({
    goalText: 'Summarise notes.md',
    inputs: [{ name: 'notes.md', content: 'We ship on Friday. Anna books the room.' }],
  })
  const { executionId } = await desi.dags.execute(dag.id)
  await desi.executions.run(executionId)

  expect(await desi.executions.get(executionId)).toMatchObject({
    status: 'completed',
    finalResult: expect.stringContaining('Friday'),
  })
  expect((await desi.costs.execution(executionId)).totals.grandTotalCostUsdMicros).toBe(0)
  expect(desi.tools.list().map(({ name }) => name)).toEqual(['fetchPage', 'llmExecute', 'readFile', 'writeFile'])
})
