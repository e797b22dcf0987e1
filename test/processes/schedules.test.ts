import { globSync } from 'node:fs'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { bootstrapDataDir, startServerProcess } from '#test/support/server-process.ts'

const HOUR_MS = 3_600_000

interface Row {
  status: string
  scheduled_at: string
  execution_id: string | null
  attempts: number
}

/** The tenant's file, read and written without the server: to call it would be to touch the tenant. */
function tenantFile(dataDir: string): string {
  return globSync(`${dataDir}/tenants/*/agent.db`)[0] as string
}

/** Once an hour, half an hour from now: not while a test runs. */
const HALF_AN_HOUR_AGO = new Date(Date.now() - HOUR_MS / 2)
const HOURLY = `${HALF_AN_HOUR_AGO.getUTCMinutes()} * * * *`

/** As if no server had been there when the schedule came up last, and some hours before. */
function letPass(dataDir: string, scheduleId: string, hours: number): void {
  const last = HALF_AN_HOUR_AGO.setUTCSeconds(0, 0)
  const at = new Date(last - hours * HOUR_MS).toISOString()
  const tenant = new Database(tenantFile(dataDir))
  tenant.prepare('update schedules set next_run_at = ? where id = ?').run(at, scheduleId)
  tenant.close()
  const control = new Database(`${dataDir}/admin.db`)
  const moved = control.prepare('update due_work set due_at = ? where subject_id = ?').run(at, scheduleId)
  control.close()
  expect(moved.changes).toBe(1)
}

function occurrences(dataDir: string): Row[] {
  const db = new Database(tenantFile(dataDir), { readonly: true })
  const rows = db.prepare('select * from schedule_occurrences order by scheduled_at').all() as Row[]
  db.close()
  return rows
}

const statuses = (dataDir: string) => occurrences(dataDir).map(({ status }) => status)
const SOON = { timeout: 20_000, interval: 50 }

test('kill -9, hours go by: the next server makes up for what came up, in a tenant that nobody touches', async () => {
  const { dataDir, apiKey } = bootstrapDataDir()
  const first = await startServerProcess(dataDir)
  const definition = planOf([{ id: '1' }])
  const { body: given } = await first.call(apiKey, 'POST', '/dags/execute-definition', { definition })
  const { body: schedule } = await first.call(apiKey, 'POST', '/schedules', {
    dagId: given.dagId,
    cronSchedule: HOURLY,
  })
  await first.kill()
  letPass(dataDir, schedule.id, 3)

  const second = await startServerProcess(dataDir)
  await expect.poll(() => statuses(dataDir), SOON).toContain('started')
  expect(statuses(dataDir)).toEqual(['skipped', 'skipped', 'skipped', 'started'])
  const begun = occurrences(dataDir).at(-1) as Row

  const { body: execution } = await second.call(apiKey, 'GET', `/executions/${begun.execution_id}`)
  expect(execution).toMatchObject({ scheduleId: schedule.id, dagId: given.dagId })
  const { body: after } = await second.call(apiKey, 'GET', `/schedules/${schedule.id}`)
  expect(Date.parse(after.nextRunAt)).toBeGreaterThan(Date.now())
}, 60_000)

test('kill -9 while the goal of an occurrence is planned: the next server plans it anew and begins it once', async () => {
  let isHanging = true
  const model = await openAiServer(({ task }) => {
    if (task !== 'plan') return 'ok'
    return isHanging ? 'hang!' : JSON.stringify(planOf([{ id: '001' }]))
  })
  const { dataDir, apiKey } = bootstrapDataDir()
  const first = await startServerProcess(dataDir, model.env)
  const goal = { goalText: 'Write about the sea' }
  const { body: schedule } = await first.call(apiKey, 'POST', '/schedules', { goal, cronSchedule: HOURLY })
  await first.kill()
  letPass(dataDir, schedule.id, 1)

  const second = await startServerProcess(dataDir, model.env)
  await expect.poll(() => model.calls.length, SOON).toBe(1)
  await second.kill()
  isHanging = false
  const control = new Database(`${dataDir}/admin.db`)
  control.prepare("update due_work set due_at = '2026' where kind = 'schedule'").run() // half a minute has gone by
  control.close()

  const third = await startServerProcess(dataDir, model.env)
  await expect.poll(() => statuses(dataDir), SOON).toContain('started')
  const begun = occurrences(dataDir).find(({ status }) => status === 'started') as Row
  expect(begun.attempts).toBe(2)
  const { body: executions } = await third.call(apiKey, 'GET', '/executions')
  expect(executions.data.map(({ id }: { id: string }) => id)).toEqual([begun.execution_id])
  const { body: dags } = await third.call(apiKey, 'GET', '/dags')
  expect(dags.data.map(({ status }: { status: string }) => status).toSorted()).toEqual(['failed', 'success'])
}, 60_000)
