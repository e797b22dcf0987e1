import { readdirSync, readlinkSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { csvRecord } from '#kit/csv.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { bookUsage } from '#test/support/past-usage.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

const EXPORT = '/api/v2/billing/usage/export'
const HEADER =
  'id,timestamp,tenantId,resourceType,quantity,unitCost,costUsdMicros,costUsdPicos,provider,model,agentName,userId,dagId,executionId,subStepId,priceVersion'

/** So many moments, a second apart. */
const moments = (count: number) =>
  Array.from({ length: count }, (_, i) => new Date(Date.UTC(2026, 1, 1, 0, 0, i)).toISOString())

/** Reads RFC 4180 back. */
function parseCsv(text: string): string[][] {
  const fields = [...text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)]
  expect(fields.map(([all]) => all).join('')).toBe(text) // nothing is left over
  const rows: string[][] = [[]]
  for (const [, quoted, plain, end] of fields) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? '')
    if (end === '\r\n') rows.push([])
  }
  return rows.slice(0, -1)
}

describe('a field', () => {
  for (const [value, written] of [
    ['plain', 'plain'],
    [null, ''],
    [12, '12'],
    ['a,b', '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ['two\r\nlines', '"two\r\nlines"'],
    ['=1+1', "'=1+1"],
    ['+1', "'+1"],
    ['-1', "'-1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\tx', "'\tx"],
    ['\rx', '"\'\rx"'],
    ['=HYPERLINK("http://evil","x")', '"\'=HYPERLINK(""http://evil"",""x"")"'],
    ['a=b', 'a=b'],
  ] as const) {
    test(`${JSON.stringify(value)} is written ${JSON.stringify(written)}`, () => {
      expect(csvRecord([value])).toBe(`${written}\r\n`)
    })
  }
})

test('the export has the columns by name and says the same as the history', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const execution = await acme.run('Count the words of this text: "one two three"')

  const response = await acme.raw(EXPORT)

  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8')
  expect(response.headers.get('content-disposition')).toBe('attachment; filename="usage.csv"')
  const text = await response.text()
  expect(text.startsWith(`${HEADER}\r\n`)).toBe(true)
  const [columns = [], ...rows] = parseCsv(text)
  const { body } = await acme.get('/billing/usage/history?limit=100')
  const told = body.data.map(({ metadata, ...record }: Record<string, object>) => ({
    ...record,
    costUsdPicos: BigInt(Number(record.quantity)) * BigInt(Number(record.unitCost)),
    ...metadata,
  }))
  expect(rows.length).toBeGreaterThan(5)
  expect(rows.map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i]])))).toEqual(
    told.map((record: Record<string, unknown>) =>
      Object.fromEntries(columns.map((name) => [name, record[name] === null ? '' : String(record[name])])),
    ),
  )
  expect(rows.some((row) => row.includes(execution.id))).toBe(true)
})

test('its exact costs add up to the totals of the month, which the costs rounded in each record do not', async () => {
  const usage = { prompt_tokens: 101, completion_tokens: 7, cached_tokens: 30 }
  const model = await openAiServer(() => ({ text: 'done', usage }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const plan = planOf(['1', '2', '3', '4', '5'].map((id) => ({ id, prompt: id })))
  await Promise.all([acme.runDefinition(plan), acme.runDefinition(plan)])
  await acme.runDefinition(planOf([{ id: '1' }]), { model: 'nobody-knows' })

  const [columns = [], ...rows] = parseCsv(await (await acme.raw(EXPORT)).text())
  const { body } = await acme.get('/billing/usage')

  const total = (column: string, resourceType: string, ofModel: string) =>
    rows
      .map((row) => Object.fromEntries(columns.map((name, i) => [name, row[i] ?? ''])))
      .filter((row) => row.resourceType === resourceType && row.model === ofModel)
      .reduce((sum, row) => sum + BigInt(row[column] ?? ''), 0n)
  expect(body.resources.length).toBeGreaterThan(6)
  for (const { resourceType, model: ofModel, quantity, unitCost, costUsdMicros } of body.resources) {
    const picos = total('costUsdPicos', resourceType, ofModel ?? '')
    expect(picos, resourceType).toBe(BigInt(quantity) * BigInt(unitCost ?? 0))
    expect(Number((picos + 500_000n) / 1_000_000n), resourceType).toBe(costUsdMicros ?? 0)
  }
  expect(total('costUsdMicros', 'cached_tokens', 'gpt-5-mini')).toBe(12n) // 0.75 of a micro-USD each
  expect(total('costUsdPicos', 'cached_tokens', 'gpt-5-mini')).toBe(9_000_000n)
})

test('what a user named like a formula is not run by a spreadsheet', async () => {
  const name = '=cmd|"/c calc"!A1'
  const model = await openAiServer(() => 'done')
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  await acme.runDefinition(planOf([{ id: '001', prompt: 'x' }]), { model: name })
  const text = await (await acme.raw(EXPORT)).text()
  expect(text).toContain(`,"'=cmd|""/c calc""!A1",`)
  const models = parseCsv(text).map((row) => row[9])
  expect(models).toContain(`'${name}`)
  expect(models.filter((model) => model?.startsWith('='))).toEqual([])
})

test('who reads as fast as it is written leaves everybody else their turn between any two pages', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  await bookUsage(api, acme.tenantId, moments(1_000)) // five pages
  const reader = (await acme.raw(EXPORT)).body?.getReader()
  let turns = 0
  let isOver = false
  const takeTurns = () => {
    turns += 1
    if (!isOver) setImmediate(takeTurns) // what a waiting socket would need
  }
  setImmediate(takeTurns)

  let pieces = 0
  while (!(await reader?.read())?.done) pieces += 1
  isOver = true

  expect(pieces).toBe(5)
  expect(turns).toBeGreaterThanOrEqual(pieces)
})

test('it is filtered as the history is', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  await bookUsage(api, acme.tenantId, moments(10), { executions: 1, storageBytes: 5 })
  const rows = async (query: string) => parseCsv(await (await acme.raw(`${EXPORT}?${query}`)).text()).slice(1)
  expect(await rows('')).toHaveLength(20)
  expect(await rows('resourceType=executions')).toHaveLength(10)
  expect(await rows('from=2026-02-01T00:00:02Z&before=2026-02-01T00:00:04Z')).toHaveLength(4)
  expect((await acme.get('/billing/usage/export?from=yesterday')).status).toBe(400)
})

function handlesBelow(folder: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder)
    } catch {
      return false
    }
  }).length
}

describe('a long export', () => {
  async function longHistory() {
    const api = await startApi({ env: { MAX_OPEN_TENANTS: '1' } })
    const acme = await api.tenant('acme')
    const globex = await api.tenant('globex')
    await bookUsage(api, acme.tenantId, moments(1_000))
    /** Whether the database is open after another tenant's request has closed what nobody holds. */
    const isHeld = async () => {
      await globex.get('/auth/me')
      return handlesBelow(`${api.dataDir}/tenants/${acme.tenantId}`) > 0
    }
    return { api, acme, isHeld }
  }

  test('comes in pieces, made as they are read, with each record once; records written meanwhile do not disturb it', async () => {
    const { api, acme } = await longHistory()
    const response = await acme.raw(EXPORT)
    const pieces: string[] = []
    for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
      pieces.push(piece)
      if (pieces.length === 2) await bookUsage(api, acme.tenantId, ['2026-03-01T00:00:00.000Z'])
    }
    expect(pieces).toHaveLength(5)
    const rows = parseCsv(pieces.join('')).slice(1)
    expect(new Set(rows.map(([id]) => id)).size).toBe(1_000)
    expect(rows.map(([, timestamp]) => timestamp)).toEqual(moments(1_000).reverse())
  })

  test('holds the database open until it has been read', async () => {
    const { acme, isHeld } = await longHistory()
    const response = await acme.raw(EXPORT)
    const reader = response.body!.getReader()
    await reader.read()
    expect(await isHeld()).toBe(true)
    while (!(await reader.read()).done);
    expect(await isHeld()).toBe(false)
  })

  test('lets go of the database when the reader hangs up', async () => {
    const { acme, isHeld } = await longHistory()
    const reader = (await acme.raw(EXPORT)).body!.getReader()
    await reader.read()
    expect(await isHeld()).toBe(true)
    await reader.cancel()
    expect(await isHeld()).toBe(false)
  })

  test('lets go of the database when the connection breaks', async () => {
    const { acme, isHeld } = await longHistory()
    const connection = new AbortController()
    await acme.raw(EXPORT, { signal: connection.signal })
    expect(await isHeld()).toBe(true)
    connection.abort()
    expect(await isHeld()).toBe(false)
  })

  test('breaks off with an error when the process stops, read or not: what just ended would look whole', async () => {
    const { api, acme } = await longHistory()
    const [waiting, read] = await Promise.all([acme.raw(EXPORT), acme.raw(EXPORT)])
    const reader = read.body!.getReader()
    await reader.read()
    await api.close()
    const readOn = async () => {
      while (!(await reader.read()).done);
    }
    await expect(readOn()).rejects.toThrow('the server is stopping')
    await expect(waiting.text()).rejects.toThrow('the server is stopping')
  })

  test('HEAD answers the headers and holds nothing', async () => {
    const { acme, isHeld } = await longHistory()
    const response = await acme.raw(EXPORT, { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(await response.text()).toBe('')
    expect(await isHeld()).toBe(false)
  })
})

test('exports and event streams share a tenant’s cap, and a closed one gives its place back', async () => {
  const model = await openAiServer(() => 'hang!')
  const api = await startApi({ env: { ...model.env, MAX_STREAMS_PER_TENANT: '20' } })
  const [acme, globex] = [await api.tenant('acme'), await api.tenant('globex')]
  await bookUsage(api, acme.tenantId, moments(1_000))
  const { body: started } = await acme.post('/dags/execute-definition', { definition: planOf([{ id: '1' }]) })
  const events = `/executions/${started.id}/events`
  const stream = await acme.raw(`/api/v2${events}`)
  const exports = await Promise.all(Array.from({ length: 19 }, () => acme.raw(EXPORT)))
  expect(new Set([stream, ...exports].map(({ status }) => status))).toEqual(new Set([200]))

  for (const path of ['/billing/usage/export', events]) {
    expect(await acme.get(path)).toMatchObject({ status: 429, body: { code: 'too_many_streams' } })
  }
  expect((await acme.raw(EXPORT, { method: 'HEAD' })).status).toBe(200)
  expect((await globex.get('/billing/usage/export')).status).toBe(200)

  await exports.pop()?.text()
  const again = await acme.raw(EXPORT)
  expect(again.status).toBe(200)
  await Promise.all([stream, again, ...exports].map(({ body }) => body?.cancel()))
  expect((await acme.get('/billing/usage/export')).status).toBe(200)
})
