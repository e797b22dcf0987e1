import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { collectLog } from '#test/features/http/collect-log.ts'
import { HeldClock } from '#test/features/http/held-clock.ts'
import { runNode } from '#test/platform/children.ts'
import type { Client } from '#test/support/client.ts'
import { bookUsage } from '#test/support/past-usage.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const WRITE = planOf([{ id: '001', tool: 'writeFile', params: { path: 'a.md', content: 'a'.repeat(1_000) } }])

/** An API in the middle of March 2026, whose clock is moved by hand. */
async function inMarch() {
  const clock = new HeldClock('2026-03-15T12:00:00.000Z')
  const { log, lines } = collectLog()
  const api = await startApi({ overrides: { now: clock.now, log } })
  const until = (moment: string) => clock.pass(Date.parse(moment) - clock.now().getTime())
  return { api, until, lines, tick: () => api.api.tick() }
}

const invoicesOf = async (client: Client) => (await client.get('/billing/invoices?includeTotal=true')).body.data
const dueOf = (api: TestApi, tenantId: string) =>
  api.api.stores.control
    .selectFrom('due_work')
    .select(['subject_id', 'due_at'])
    .where('tenant_id', '=', tenantId)
    .where('kind', '=', 'invoice')
    .orderBy('subject_id')
    .execute()

describe('a month that is over', () => {
  test('gets a draft ten minutes later, which is opened after an hour', async () => {
    const { api, until, tick } = await inMarch()
    const acme = await api.tenant('acme')
    await acme.runDefinition(WRITE)
    const { body: usage } = await acme.get('/billing/usage')

    until('2026-04-01T00:09:59.999Z')
    await tick()
    expect(await invoicesOf(acme)).toEqual([])

    until('2026-04-01T00:10:00.000Z')
    await tick()
    const [draft] = await invoicesOf(acme)
    expect(draft).toMatchObject({
      tenantId: acme.tenantId,
      period: { start: '2026-03-01T00:00:00.000Z', end: '2026-04-01T00:00:00.000Z' },
      status: 'draft',
      issuedAt: null,
      createdAt: '2026-04-01T00:10:00.000Z',
    })
    expect(draft.lineItems.map(({ amountUsdCents: _, ...line }: { amountUsdCents: number }) => line)).toEqual(
      usage.resources.map(({ costUsdMicros: _, ...total }: { costUsdMicros: number }) => total),
    )
    expect(await dueOf(api, acme.tenantId)).toEqual([
      { subject_id: '2026-03', due_at: '2026-04-01T01:10:00.000Z' },
      { subject_id: '2026-04', due_at: '2026-05-01T00:10:00.000Z' },
    ])

    until('2026-04-01T01:09:59.999Z')
    await tick()
    expect(await invoicesOf(acme)).toEqual([draft])

    until('2026-04-01T01:10:00.000Z')
    await tick()
    const at = '2026-04-01T01:10:00.000Z'
    expect(await invoicesOf(acme)).toEqual([{ ...draft, status: 'open', issuedAt: at, updatedAt: at }])
    expect(await dueOf(api, acme.tenantId)).toEqual([{ subject_id: '2026-04', due_at: '2026-05-01T00:10:00.000Z' }])
  })

  test('gets none when nothing was used in it; the next month does', async () => {
    const { api, until, tick } = await inMarch()
    const acme = await api.tenant('acme')
    until('2026-04-01T00:10:00.000Z')
    await tick()
    expect(await invoicesOf(acme)).toEqual([])
    await acme.runDefinition(WRITE)
    until('2026-05-01T00:10:00.000Z')
    await tick()
    expect((await invoicesOf(acme)).map((invoice: { period: object }) => invoice.period)).toEqual([
      { start: '2026-04-01T00:00:00.000Z', end: '2026-05-01T00:00:00.000Z' },
    ])
  })

  test('is billed when the server was off at its end, and so are the months after it', async () => {
    const { api, until, tick } = await inMarch()
    const acme = await api.tenant('acme')
    await bookUsage(api, acme.tenantId, ['2026-03-20T00:00:00.000Z', '2026-04-20T00:00:00.000Z'])
    until('2026-06-10T00:00:00.000Z')
    await tick()
    const starts = (await invoicesOf(acme)).map(({ period }: { period: { start: string } }) => period.start)
    expect(starts.toSorted()).toEqual(['2026-03-01T00:00:00.000Z', '2026-04-01T00:00:00.000Z'])
    expect((await dueOf(api, acme.tenantId)).at(-1)).toEqual({
      subject_id: '2026-06',
      due_at: '2026-07-01T00:10:00.000Z',
    })
  })

  test('is billed to a suspended tenant as to any other', async () => {
    const { api, until, tick } = await inMarch()
    const acme = await api.tenant('acme')
    await acme.runDefinition(WRITE)
    const { status } = await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/suspend`)
    expect(status).toBe(200)
    until('2026-04-01T00:10:00.000Z')
    await tick()
    const { body } = await api.superAdmin.get(`/admin/tenants/${acme.tenantId}/invoices`)
    expect(body.data.map((invoice: { status: string }) => invoice.status)).toEqual(['draft'])
  })

  test('of a tenant whose database fails is tried again later, and the others are billed', async () => {
    const { api, until, tick, lines } = await inMarch()
    const tenants = [await api.tenant('acme'), await api.tenant('globex'), await api.tenant('initech')] as const
    for (const tenant of tenants) await tenant.runDefinition(WRITE)
    const [acme, globex, initech] = tenants
    const inGlobex = (statement: string) =>
      api.api.stores.homes.use(globex.tenantId, (db) => sql.raw(statement).execute(db))
    await inGlobex("create trigger broken before insert on invoices begin select raise(abort, 'broken'); end")
    until('2026-04-01T00:10:00.000Z')
    await tick()
    expect(await Promise.all(tenants.map(async (tenant) => (await invoicesOf(tenant)).length))).toEqual([1, 0, 1])
    const errors = lines.filter(({ level }) => level === 'error')
    expect(errors.map(({ fields }) => fields)).toEqual([
      expect.objectContaining({ tenantId: globex.tenantId, kind: 'invoice', subjectId: '2026-03' }),
    ])

    await inGlobex('drop trigger broken')
    until('2026-04-01T00:10:29.999Z')
    await tick()
    expect(await invoicesOf(globex)).toEqual([])
    until('2026-04-01T00:10:30.000Z')
    await tick()
    expect(await invoicesOf(globex)).toHaveLength(1)
    expect([await invoicesOf(acme), await invoicesOf(initech)].map(({ length }) => length)).toEqual([1, 1])
  })

  test('leaves no due work for a tenant that is gone', async () => {
    const { api, until, tick, lines } = await inMarch()
    const gone = crypto.randomUUID()
    await api.api.stores.control
      .insertInto('due_work')
      .values({ tenant_id: gone, kind: 'invoice', subject_id: '2026-03', due_at: '2026-04-01T00:10:00.000Z' })
      .execute()
    until('2026-04-01T00:10:00.000Z')
    await tick()
    expect(await dueOf(api, gone)).toEqual([])
    expect(lines.filter(({ level }) => level === 'error')).toEqual([])
  })
})

test('two processes that close the same month at once, each ten times, write one invoice', async () => {
  const { api } = await inMarch()
  const acme = await api.tenant('acme')
  await acme.runDefinition(WRITE)
  const close = async (at: string): Promise<{ again: string | null }[]> => {
    const args = ['test/features/billing/close-month.ts', api.dataDir, acme.tenantId, '2026-03', at]
    const ended = await Promise.all([runNode(args, {}), runNode(args, {})])
    expect(ended.map(({ stderr }) => stderr)).toEqual(['', ''])
    return ended.flatMap(({ stdout }) => JSON.parse(stdout))
  }

  expect(await close('2026-04-01T00:10:00.000Z')).toEqual(Array(20).fill({ again: '2026-04-01T01:10:00.000Z' }))
  const [draft, ...more] = await invoicesOf(acme)
  expect(more).toEqual([])
  expect(await close('2026-04-01T01:10:00.000Z')).toEqual(Array(20).fill({ again: null }))
  const at = '2026-04-01T01:10:00.000Z'
  expect(await invoicesOf(acme)).toEqual([{ ...draft, status: 'open', issuedAt: at, updatedAt: at }])
})

test('one process that closes the same month many times at once writes one invoice', async () => {
  const { api } = await inMarch()
  const acme = await api.tenant('acme')
  await acme.runDefinition(WRITE)
  const month = { period: '2026-03', at: '2026-04-01T00:10:00.000Z' }
  const closings = Array.from({ length: 20 }, () => api.api.stores.tenants.run(acme.tenantId, 'closeMonth', month))
  expect(await Promise.all(closings)).toEqual(Array(20).fill({ again: '2026-04-01T01:10:00.000Z' }))
  expect(await invoicesOf(acme)).toHaveLength(1)
})

test('a tick that is asked for during another sees what that one began too early to see', async () => {
  const { api, until, tick } = await inMarch()
  const acme = await api.tenant('acme')
  await acme.runDefinition(WRITE)
  until('2026-04-01T00:09:59.999Z')
  const first = tick()
  until('2026-04-01T00:10:00.000Z')
  await Promise.all([tick(), tick()])
  expect(api.api.lastTickAtMs()).toBe(Date.parse('2026-04-01T00:10:00.000Z'))
  expect(await invoicesOf(acme)).toHaveLength(1)
  await first
})

test('a month is billed about a second after it is due, though nobody asks for anything', async () => {
  const { api, until } = await inMarch()
  const acme = await api.tenant('acme')
  await acme.runDefinition(WRITE)
  until('2026-04-01T00:10:00.000Z')
  await expect.poll(() => invoicesOf(acme), { timeout: 10_000 }).toHaveLength(1)
})

test('a month that is not over is not closed, whoever asks', async () => {
  const { api } = await inMarch()
  const acme = await api.tenant('acme')
  await acme.runDefinition(WRITE)
  const closed = await api.api.stores.tenants.run(acme.tenantId, 'closeMonth', {
    period: '2026-03',
    at: '2026-03-31T23:59:59.999Z',
  })
  expect(closed).toEqual({ again: '2026-04-01T00:10:00.000Z' })
  expect(await invoicesOf(acme)).toEqual([])
})

test('each line is rounded to the cent once, and the total is their sum', async () => {
  const { api, until, tick } = await inMarch()
  const acme = await api.tenant('acme')
  const at = '2026-03-20T00:00:00.000Z'
  await bookUsage(api, acme.tenantId, Array(200).fill(at), { executions: 1 }) // 200 x 25 micro-USD: half a cent
  await bookUsage(api, acme.tenantId, Array(3).fill(at), { storageBytes: 83_333_333 }) // 4 999.99998 micro-USD
  await bookUsage(api, acme.tenantId, [at], { computeMs: 10_000_000 }) // 16.9 cents
  until('2026-04-01T00:10:00.000Z')
  await tick()
  const [invoice] = await invoicesOf(acme)
  expect(invoice.lineItems).toEqual([
    line('compute_ms', 10_000_000, 16_900, 17),
    line('executions', 200, 25_000_000, 1),
    line('storage_bytes', 249_999_999, 20, 0),
  ])
  expect(invoice.totals).toEqual({ totalUsdCents: 18, unpricedLines: 0 })
})

const line = (resourceType: string, quantity: number, unitCost: number, amountUsdCents: number) => ({
  resourceType,
  provider: null,
  model: null,
  quantity,
  unitCost,
  amountUsdCents,
})

describe('the status of an invoice', () => {
  async function withDraft() {
    const started = await inMarch()
    const acme = await started.api.tenant('acme')
    await acme.runDefinition(WRITE)
    started.until('2026-04-01T00:10:00.000Z')
    await started.tick()
    const [draft] = await invoicesOf(acme)
    const path = `/admin/tenants/${acme.tenantId}/invoices/${draft.id}`
    const set = (status: string) => started.api.superAdmin.patch(path, { status })
    return { ...started, acme, draft, set }
  }

  test('goes from draft to open to paid, with the moment of each; asking again answers the same', async () => {
    const { acme, draft, set, until } = await withDraft()
    expect((await set('paid')).body).toMatchObject({ code: 'invoice_status_conflict', details: { status: 'draft' } })

    until('2026-04-01T00:20:00.000Z')
    const opened = await set('open')
    expect(opened.status).toBe(200)
    expect(opened.body).toEqual({
      ...draft,
      status: 'open',
      issuedAt: '2026-04-01T00:20:00.000Z',
      updatedAt: '2026-04-01T00:20:00.000Z',
    })
    until('2026-04-09T00:00:00.000Z')
    expect((await set('open')).body).toEqual(opened.body)
    const paid = await set('paid')
    expect(paid.body).toMatchObject({
      status: 'paid',
      issuedAt: opened.body.issuedAt,
      paidAt: '2026-04-09T00:00:00.000Z',
    })
    until('2026-04-10T00:00:00.000Z')
    expect((await set('paid')).body).toEqual(paid.body)
    for (const status of ['open', 'void']) {
      const refused = await set(status)
      expect(refused.status).toBe(409)
      expect(refused.body).toMatchObject({ code: 'invoice_status_conflict', details: { status: 'paid' } })
    }
    expect((await acme.get(`/billing/invoices/${draft.id}`)).body).toEqual(paid.body)
  })

  test('a voided draft is not opened by the next tick, and its month gets no second invoice', async () => {
    const { acme, draft, set, until, tick } = await withDraft()
    expect((await set('void')).body).toMatchObject({ status: 'void', voidedAt: '2026-04-01T00:10:00.000Z' })
    until('2026-04-01T02:00:00.000Z')
    await tick()
    expect(await invoicesOf(acme)).toMatchObject([{ id: draft.id, status: 'void', issuedAt: null }])
  })

  test('of two changes at once that exclude each other one is made', async () => {
    const { acme, draft, set } = await withDraft()
    await set('open')
    const answers = await Promise.all([set('paid'), set('void')])
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409])
    const { body } = await acme.get(`/billing/invoices/${draft.id}`)
    expect(body).toEqual(answers.find(({ status }) => status === 200)?.body)
  })

  test('cannot be set to draft', async () => {
    const { set } = await withDraft()
    expect((await set('draft')).status).toBe(400)
  })
})

describe('finding invoices', () => {
  async function withTwo() {
    const started = await inMarch()
    const acme = await started.api.tenant('acme')
    const globex = await started.api.tenant('globex')
    await acme.runDefinition(WRITE)
    started.until('2026-04-01T00:10:00.000Z')
    await started.tick()
    started.until('2026-04-01T02:00:00.000Z')
    await started.tick()
    await acme.runDefinition(WRITE)
    started.until('2026-05-01T00:10:00.000Z')
    await started.tick()
    return { ...started, acme, globex }
  }

  test('newest first, by status, for the tenant and for the super admin alike', async () => {
    const { api, acme } = await withTwo()
    const admin = `/admin/tenants/${acme.tenantId}/invoices`
    for (const [client, path] of [
      [acme, '/billing/invoices'],
      [api.superAdmin, admin],
    ] as const) {
      const statuses = async (query: string) =>
        (await client.get(`${path}?${query}`)).body.data.map((invoice: { status: string }) => invoice.status)
      expect(await statuses('')).toEqual(['draft', 'open'])
      expect(await statuses('status=open')).toEqual(['open'])
      expect(await statuses('status=paid')).toEqual([])
      const { nextCursor, total } = (await client.get(`${path}?limit=1&includeTotal=true`)).body.pagination
      expect(total).toBe(2)
      expect(await statuses(`limit=1&cursor=${nextCursor}`)).toEqual(['open'])
    }
    expect((await api.superAdmin.get(admin)).body.data).toEqual(await invoicesOf(acme))
  })

  test('one tenant cannot reach another tenant’s invoices', async () => {
    const { api, acme, globex } = await withTwo()
    const [theirs] = await invoicesOf(acme)
    expect(await invoicesOf(globex)).toEqual([])
    const [stolen, absent] = await Promise.all(
      [theirs.id, crypto.randomUUID()].map((id) => globex.get(`/billing/invoices/${id}`)),
    )
    expect([stolen?.status, stolen?.body.code]).toEqual([404, 'invoice_not_found'])
    expect({ ...stolen?.body, requestId: '' }).toEqual({ ...absent?.body, requestId: '' })
    const through = await api.superAdmin.patch(`/admin/tenants/${globex.tenantId}/invoices/${theirs.id}`, {
      status: 'void',
    })
    expect([through.status, through.body.code]).toEqual([404, 'invoice_not_found'])
    expect((await invoicesOf(acme))[0]).toEqual(theirs)
  })

  test('of a tenant that does not exist there are none', async () => {
    const { api } = await inMarch()
    const nobody = `/admin/tenants/${crypto.randomUUID()}/invoices`
    const answers = [
      await api.superAdmin.get(nobody),
      await api.superAdmin.patch(`${nobody}/${crypto.randomUUID()}`, { status: 'open' }),
    ]
    expect(answers.map(({ status, body }) => [status, body.code])).toEqual(Array(2).fill([404, 'tenant_not_found']))
  })
})

test('the amounts of an invoice are derived again from the records of its month', async () => {
  const { api, until, tick } = await inMarch()
  const acme = await api.tenant('acme')
  for (const day of [1, 2, 3]) {
    until(new Date(Date.parse('2026-03-15T12:00:00.000Z') + day * DAY).toISOString())
    await acme.runDefinition(WRITE)
    await acme.run('Count the words of this text: "one two three"')
  }
  until('2026-04-01T00:10:00.000Z')
  await tick()
  await acme.runDefinition(WRITE) // of April
  const [invoice] = await invoicesOf(acme)

  const { body } = await acme.get(
    '/billing/usage/history?limit=100&from=2026-03-01T00:00:00Z&before=2026-04-01T00:00:00Z',
  )
  expect(body.pagination.hasMore).toBe(false)
  const quantities = new Map<string, bigint>()
  for (const { resourceType, metadata, unitCost, quantity } of body.data) {
    const key = JSON.stringify([resourceType, metadata.provider, metadata.model, unitCost])
    quantities.set(key, (quantities.get(key) ?? 0n) + BigInt(quantity))
  }
  expect(invoice.lineItems.length).toBe(quantities.size)
  for (const { resourceType, provider, model, unitCost, quantity, amountUsdCents } of invoice.lineItems) {
    const used = quantities.get(JSON.stringify([resourceType, provider, model, unitCost])) ?? 0n
    expect(BigInt(quantity)).toBe(used)
    expect(BigInt(amountUsdCents)).toBe((used * BigInt(unitCost) + 5_000_000_000n) / 10_000_000_000n)
  }
  const cents = invoice.lineItems.map((item: { amountUsdCents: number }) => item.amountUsdCents)
  expect(invoice.totals.totalUsdCents).toBe(cents.reduce((all: number, amount: number) => all + amount, 0))
})
