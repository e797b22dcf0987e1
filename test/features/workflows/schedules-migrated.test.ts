import { rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { type Migrations, migrate } from '#kit/db/migrate.ts'
import { openSqlite } from '#kit/db/sqlite/dialect.ts'
import { controlMigrations } from '#migrations/control/index.ts'
import { tenantMigrations } from '#migrations/tenant/index.ts'
import { betterSqliteBackend } from '#platform/node/sqlite/backend.ts'
import { startApi } from '#test/support/start-api.ts'
import { HOUR_MS, indexOf, occurrencesOf, plannedDag, startAtNoon, told } from './scheduling.ts'

/** Puts a database back to where it was before a migration, with what its tables had in common with now. */
async function putBack(file: string, migrations: Migrations, before: string): Promise<Database.Database> {
  const older = Object.fromEntries(Object.entries(migrations).filter(([name]) => name < before))
  const kept = `${file}.new`
  const now = new Database(file)
  now.exec(`vacuum into '${kept}'`)
  now.close()
  for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true })
  const empty = openSqlite<unknown>(betterSqliteBackend(file, 'OFF'))
  await migrate(empty, older)
  await empty.destroy()
  const db = new Database(file)
  db.pragma('foreign_keys = off')
  db.exec(`attach '${kept}' as kept`)
  const columnsOf = (schema: string, table: string) =>
    (db.prepare(`pragma ${schema}.table_info('${table}')`).all() as { name: string }[]).map(({ name }) => name)
  const tables = db.prepare("select name from main.sqlite_master where type = 'table'").pluck().all() as string[]
  for (const table of tables.filter((name) => !name.startsWith('kysely_') && !name.startsWith('sqlite_'))) {
    const common = columnsOf('main', table).filter((name) => columnsOf('kept', table).includes(name))
    db.exec(`insert into main.${table} (${common}) select ${common} from kept.${table}`)
  }
  db.exec('detach kept')
  rmSync(kept)
  return db
}

test('schedules that were kept before any could fire come up from the update on, in a tenant that nobody touches', async () => {
  const { api: first, acme, clock } = await startAtNoon()
  const globex = await first.tenant('globex')
  const active = await plannedDag(acme)
  const [inactive, plain, ofGlobex] = [await plannedDag(acme), await plannedDag(acme), await plannedDag(globex)]
  await first.close()

  for (const [{ tenantId }, schedules] of [
    [acme, { [active]: ['30 * * * *', 1, 'Asia/Kolkata'], [inactive]: ['@daily', 0, 'UTC'] }],
    [globex, { [ofGlobex]: ['@hourly', 1, 'UTC'] }],
  ] as const) {
    const db = await putBack(`${first.dataDir}/tenants/${tenantId}/agent.db`, tenantMigrations, '0009')
    const set = db.prepare('update dags set cron_schedule = ?, schedule_active = ?, timezone = ? where id = ?')
    for (const [id, row] of Object.entries(schedules)) expect(set.run(...row, id).changes).toBe(1)
    db.close()
  }
  ;(await putBack(`${first.dataDir}/admin.db`, controlMigrations, '0003')).close()
  clock.pass(10 * 60_000)

  const api = await startApi({ dataDir: first.dataDir, overrides: { now: clock.now } })
  clock.pass(Math.max(0, Date.now() - clock.now().getTime())) // the update notes the real time
  await api.api.tick()

  const index = await indexOf(api)
  expect(Object.keys(index).toSorted()).toEqual([active, ofGlobex].toSorted())
  for (const dueAt of Object.values(index)) {
    expect(Date.parse(dueAt) - clock.now().getTime()).toBeGreaterThan(0)
    expect(Date.parse(dueAt) - clock.now().getTime()).toBeLessThanOrEqual(HOUR_MS)
  }
  const kinds = await api.api.stores.control.selectFrom('due_work').select('kind').distinct().execute()
  expect(kinds.map(({ kind }) => kind)).not.toContain('schedule_index')
  clock.pass(HOUR_MS)
  await api.api.tick()

  const [client, other] = [api.client(acme.key), api.client(globex.key)]
  expect(told(await occurrencesOf(client, active)).map((one) => one.slice(6))).toEqual(['started'])
  expect(told(await occurrencesOf(other, ofGlobex)).map((one) => one.slice(6))).toEqual(['started'])
  expect(await occurrencesOf(client, inactive)).toEqual([])
  const shown = async (id: string) => (await client.get(`/dags/${id}`)).body
  expect(await shown(active)).toMatchObject({
    cronSchedule: '30 * * * *',
    scheduleActive: true,
    timezone: 'Asia/Kolkata',
  })
  expect(await shown(inactive)).toMatchObject({ cronSchedule: '@daily', scheduleActive: false, nextRunAt: null })
  expect(await shown(plain)).toMatchObject({ cronSchedule: null, scheduleActive: false })
  expect((await client.get('/dags/scheduled')).body.data.length).toBe(2)
})
