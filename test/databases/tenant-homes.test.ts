import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { NoTenantDatabase } from '#kit/db/databases.ts'
import { TenantHomes } from '#kit/db/tenant-homes.ts'
import { tenantMigrations } from '#migrations/tenant/index.ts'
import { sqliteDatabases } from '#platform/node/sqlite/databases.ts'
import { temporaryFolder } from './backends.ts'

function start(capacity: number, removalWaitMs?: number) {
  const dataDir = temporaryFolder()
  const databases = sqliteDatabases(dataDir, 'NORMAL')
  const opened: string[] = []
  const homes = new TenantHomes(
    {
      ...databases,
      openTenant(tenantId) {
        opened.push(tenantId)
        return databases.openTenant(tenantId)
      },
    },
    capacity,
    removalWaitMs,
  )
  onTestFinished(() => homes.close())
  return { dataDir, homes, opened }
}

async function createTenants(homes: TenantHomes, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => crypto.randomUUID())
  for (const id of ids) await homes.create(id)
  return ids
}

const countAgents = (homes: TenantHomes, id: string) =>
  homes.use(id, (db) =>
    db
      .selectFrom('agents')
      .select('id')
      .execute()
      .then((rows) => rows.length),
  )

/** Handles of this process on files below the folder; other tests of the process do not count. */
function handlesBelow(folder: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(join('/proc/self/fd', fd)).startsWith(folder)
    } catch {
      return false
    }
  }).length
}

test('a new tenant’s database is migrated when it is first opened', async () => {
  const { homes } = start(5)
  const [id] = (await createTenants(homes, 1)) as [string]
  const names = await homes.use(id, async (db) => {
    const rows = await db
      .withTables<{ kysely_migration: { name: string } }>()
      .selectFrom('kysely_migration')
      .select('name')
      .orderBy('name')
      .execute()
    return rows.map(({ name }) => name)
  })
  expect(names).toEqual(Object.keys(tenantMigrations))
  expect(await countAgents(homes, id)).toBe(0)
})

test('there is no database for a tenant that was not made', async () => {
  const { homes } = start(5)
  expect(await homes.pin(crypto.randomUUID())).toBeNull()
  expect(homes.openCount).toBe(0)
})

test('a tenant that was removed is gone, and can be made again, empty', async () => {
  const { homes } = start(5)
  const [id] = (await createTenants(homes, 1)) as [string]
  await homes.use(id, (db) => db.insertInto('tenant').values(tenantRow(id)).execute())
  await homes.remove(id)
  expect(await homes.pin(id)).toBeNull()
  await homes.create(id)
  expect(await homes.use(id, (db) => db.selectFrom('tenant').selectAll().execute())).toEqual([])
})

describe('one that is being removed', () => {
  const isSettled = async (promise: Promise<unknown>) =>
    Promise.race([promise.then(() => true), new Promise((resolve) => setTimeout(() => resolve(false), 30))])

  test('lets nobody in, and waits for those who are in', async () => {
    const { dataDir, homes } = start(5)
    const [id] = (await createTenants(homes, 1)) as [string]
    const [first, second] = [await homes.pin(id), await homes.pin(id)]
    const letGo = second?.hold()
    const removing = homes.remove(id)

    expect(await homes.pin(id)).toBeNull()
    await expect(homes.use(id, async () => 1)).rejects.toThrow(NoTenantDatabase)
    first?.release()
    second?.release()
    expect(await isSettled(removing)).toBe(false)
    expect(await second?.db.selectFrom('agents').selectAll().execute()).toEqual([])
    letGo?.()
    await removing

    expect(readdirSync(join(dataDir, 'tenants'))).toEqual([])
    expect(await homes.pin(id)).toBeNull()
    expect(homes.openCount).toBe(0)
  })

  test('is closed under the hands of those who do not leave in time, and they are told', async () => {
    const { dataDir, homes } = start(5, 50)
    const [id] = (await createTenants(homes, 1)) as [string]
    const pinned = await homes.pin(id)
    await homes.remove(id)
    expect(readdirSync(join(dataDir, 'tenants'))).toEqual([])
    await expect(pinned?.db.selectFrom('agents').selectAll().execute()).rejects.toThrow()
    pinned?.release()
    pinned?.release()
    expect(await homes.pin(id)).toBeNull()
  })

  test('is removed once, however many ask for it', async () => {
    const { homes } = start(5)
    const [id] = (await createTenants(homes, 1)) as [string]
    const pinned = await homes.pin(id)
    const removals = [homes.remove(id), homes.remove(id), homes.remove(id)]
    pinned?.release()
    await Promise.all(removals)
    await homes.remove(id) // what is not there can be removed too
    expect(await homes.sizeOf(id)).toBe(0)
  })

  test('does not keep others waiting', async () => {
    const { homes } = start(5)
    const [a, b] = (await createTenants(homes, 2)) as [string, string]
    const pinned = await homes.pin(a)
    const removing = homes.remove(a)
    expect(await countAgents(homes, b)).toBe(0)
    await homes.remove(b)
    pinned?.release()
    await removing
  })

  test('while it is being opened is opened first and then removed', async () => {
    const { dataDir, homes } = start(5)
    const [id] = (await createTenants(homes, 1)) as [string]
    const pinning = homes.pin(id)
    const removing = homes.remove(id)
    const pinned = await pinning
    expect(await pinned?.db.selectFrom('agents').selectAll().execute()).toEqual([])
    pinned?.release()
    await removing
    expect(readdirSync(join(dataDir, 'tenants'))).toEqual([])
  })
})

test('many that want one tenant at once open it once', async () => {
  const { homes, opened } = start(5)
  const [id] = (await createTenants(homes, 1)) as [string]
  await Promise.all(Array.from({ length: 20 }, () => countAgents(homes, id)))
  expect(opened).toEqual([id])
})

test('the least recently used one is closed first', async () => {
  const { homes, opened } = start(3)
  const [a, b, c, d] = (await createTenants(homes, 4)) as [string, string, string, string]
  for (const id of [a, b, c, a, d]) await countAgents(homes, id)
  opened.length = 0
  for (const id of [a, c, d]) await countAgents(homes, id)
  expect(opened).toEqual([])
  await countAgents(homes, b)
  expect(opened).toEqual([b])
})

describe('one that is pinned', () => {
  test('is never closed, however many others are used', async () => {
    const { homes, opened } = start(2)
    const [first, ...others] = await createTenants(homes, 8)
    const pinned = await homes.pin(first as string)
    for (const id of others) await countAgents(homes, id)
    expect(await pinned?.db.selectFrom('agents').selectAll().execute()).toEqual([])
    expect(opened.filter((id) => id === first).length).toBe(1)
    expect(homes.openCount).toBe(2)
    pinned?.release()
  })

  test('stays open while anybody holds it, and closes after the last', async () => {
    const { homes, opened } = start(1)
    const [first, ...others] = (await createTenants(homes, 3)) as [string, string, string]
    const pinned = await homes.pin(first)
    const letGo = pinned?.hold()
    pinned?.release()
    pinned?.release() // twice counts once
    for (const id of others) await countAgents(homes, id)
    expect(await pinned?.db.selectFrom('agents').selectAll().execute()).toEqual([])
    letGo?.()
    for (const id of others) await countAgents(homes, id)
    await expect(pinned?.db.selectFrom('agents').selectAll().execute()).rejects.toThrow()
    expect(opened.filter((id) => id === first).length).toBe(1)
  })

  test('is let go of when the work with it fails', async () => {
    const { homes } = start(1)
    const [first, second] = (await createTenants(homes, 2)) as [string, string]
    await expect(homes.use(first, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    await countAgents(homes, second)
    expect(homes.openCount).toBe(1)
  })
})

test('all can be pinned at once, beyond the capacity, and close when they are let go', async () => {
  const { homes } = start(2)
  const ids = await createTenants(homes, 6)
  const pins = await Promise.all(ids.map((id) => homes.pin(id)))
  for (const pin of pins) expect(await pin?.db.selectFrom('agents').selectAll().execute()).toEqual([])
  for (const pin of pins) pin?.release()
  await countAgents(homes, ids[0] as string)
  expect(homes.openCount).toBe(2)
})

test('a database that could not be opened is tried again', async () => {
  const { homes, opened } = start(2)
  const [id] = (await createTenants(homes, 1)) as [string]
  const databases = sqliteDatabases(temporaryFolder(), 'NORMAL')
  let isBroken = true
  const shaky = new TenantHomes(
    {
      ...databases,
      openTenant: (wanted) => (isBroken ? Promise.reject(new Error('disk')) : databases.openTenant(wanted)),
    },
    2,
  )
  await shaky.create(id)
  await expect(shaky.pin(id)).rejects.toThrow('disk')
  isBroken = false
  expect(await countAgents(shaky, id)).toBe(0)
  await shaky.close()
  expect(opened).toEqual([])
})

test.skipIf(process.platform !== 'linux')('open files do not grow with the number of tenants', async () => {
  const { dataDir, homes } = start(5)
  const ids = await createTenants(homes, 50)
  expect(handlesBelow(dataDir)).toBe(0)
  for (let round = 0; round < 2; round += 1) {
    for (const id of ids) {
      await homes.use(id, (db) => db.insertInto('tenant').values(tenantRow(crypto.randomUUID())).execute())
      expect(handlesBelow(dataDir)).toBeLessThanOrEqual(5 * 3) // database, -wal and -shm
    }
  }
  await Promise.all(ids.map((id) => countAgents(homes, id)))
  await countAgents(homes, ids[0] as string)
  await expect.poll(() => handlesBelow(dataDir)).toBeLessThanOrEqual(5 * 3) // what is let go of is closed in the background
  await homes.close()
  expect(handlesBelow(dataDir)).toBe(0)
})

function tenantRow(id: string) {
  return {
    id,
    name: 'n',
    slug: 's',
    status: 'active',
    plan: 'free',
    quotas: '{}',
    updated_at: '2026-03-01T12:00:00.000Z',
  }
}
