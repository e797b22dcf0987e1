import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { ExecutionEvent } from '#desiagent/events.ts'
import { createSuperAdminKey } from '#features/identity/admin-keys/service.ts'
import { readConfig } from '#src/config.ts'
import { startServer } from '#src/node.ts'
import { Client } from '#test/support/client.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { hasBrowser, openBrowser } from './browser.ts'

const WORDS = 'The answer comes word by word.'
const CHAIN = planOf([{ id: '1' }, { id: '2', dependencies: ['1'] }])
const NAMES = [...ExecutionEvent.options.map(({ shape }) => shape.type.value), 'execution:delta']

interface Told {
  id: string
  data: { type: string; seq?: number; text?: string; taskId?: string | null }
}

describe.skipIf(!hasBrowser)('EventSource in a browser, on a page of another origin', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await openBrowser()
  })
  afterAll(() => browser?.close())

  test('gets all events by ticket, ends by itself, and goes on with ?after= and another ticket', async () => {
    const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
    const model = await openAiServer(async ({ messages }) => {
      if (messages.join('').includes('do 2')) await held
      return { text: WORDS, chunkDelayMs: 5 }
    })
    const { page, origin } = await emptyPage(browser)
    const { url, acme } = await serve({ ...model.env, CORS_ORIGINS: origin })
    const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
    const streamOf = async (query: string) => {
      const { body } = await acme.post(`/executions/${started.id}/stream-ticket`)
      return `${url}/api/v2/executions/${started.id}/events?ticket=${body.ticket}${query}`
    }

    await openEventSource(page, await streamOf('&include=deltas'))
    await expect
      .poll(async () => (await told(page)).some(({ data }) => data.type === 'execution:task_completed'))
      .toBe(true)
    goOn()
    // When the log has ended the browser comes back once more with the last id, is answered 204, and gives up.
    await expect.poll(() => page.evaluate('source.readyState'), { timeout: 20_000 }).toBe(2)

    const { body } = await acme.get(`/executions/${started.id}/events`, { accept: 'application/json' })
    const events = (await told(page)).filter(({ data }) => data.type !== 'execution:delta')
    expect(events.map(({ data }) => data)).toEqual(body.data)
    expect(events.map(({ id }) => Number(id))).toEqual(body.data.map(({ seq }: { seq: number }) => seq))
    const deltas = (await told(page)).filter(({ data }) => data.type === 'execution:delta' && data.taskId === '2')
    expect(deltas.map(({ data }) => data.text).join('')).toBe(WORDS)
    expect(deltas.every(({ id }) => id !== '')).toBe(true) // a browser keeps the id of the event before

    await openEventSource(page, await streamOf('&after=5'))
    await expect.poll(async () => (await told(page)).at(-1)?.data.type).toBe('execution:completed')
    expect((await told(page)).map(({ data }) => data)).toEqual(body.data.slice(5))
  })

  test('is not let in with a ticket that is none', async () => {
    const { page, origin } = await emptyPage(browser)
    const { url } = await serve({ CORS_ORIGINS: origin })
    await openEventSource(page, `${url}/api/v2/executions/${crypto.randomUUID()}/events?ticket=nonsense`)
    await expect.poll(() => page.evaluate('source.readyState'), { timeout: 10_000 }).toBe(2)
    expect(await told(page)).toEqual([])
  })
})

async function openEventSource(page: Page, url: string): Promise<void> {
  await page.evaluate(
    `globalThis.source?.close()
     globalThis.told = []
     globalThis.source = new EventSource(${JSON.stringify(url)})
     for (const name of ${JSON.stringify(NAMES)}) {
       source.addEventListener(name, ({ lastEventId, data }) => told.push({ id: lastEventId, data: JSON.parse(data) }))
     }`,
  )
}

function told(page: Page): Promise<Told[]> {
  return page.evaluate('told') as Promise<Told[]>
}

async function serve(env: Record<string, string>): Promise<{ url: string; acme: Client }> {
  const dataDir = mkdtempSync(join(tmpdir(), 'desi-pages-'))
  const server = await startServer(readConfig({ PORT: '0', DESI_DATA_DIR: dataDir, LOG_LEVEL: 'silent', ...env }))
  onTestFinished(async () => {
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  const { control, hasher, now } = server.api.stores
  const superAdmin = new Client(server.api.app, await createSuperAdminKey(control, hasher, true, now()))
  const { body } = await superAdmin.post('/admin/tenants', { slug: 'pages', admin: { email: 'admin@pages.test' } })
  return { url: server.url, acme: new Client(server.api.app, body.apiKey) }
}

async function emptyPage(browser: Browser): Promise<{ page: Page; origin: string }> {
  const server = createServer((_request, response) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>another origin</title>'),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const page = await browser.newPage()
  onTestFinished(async () => {
    await page.close()
    server.closeAllConnections()
    server.close()
  })
  await page.goto(origin)
  return { page, origin }
}
