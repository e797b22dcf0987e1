import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createSuperAdminKey } from '#features/identity/admin-keys/service.ts'
import { readConfig } from '#src/config.ts'
import { contracts } from '#src/contracts.ts'
import { type RunningServer, startServer } from '#src/node.ts'
import { hasBrowser, openBrowser } from './browser.ts'

describe.skipIf(!hasBrowser)('Swagger UI', () => {
  let dataDir: string
  let server: RunningServer
  let browser: Browser

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'desi-pages-'))
    server = await startServer(readConfig({ PORT: '0', DESI_DATA_DIR: dataDir, LOG_LEVEL: 'silent' }))
    browser = await openBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    await server?.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  test('opens without asking another origin for anything, and without a complaint of the browser', async () => {
    const { page, requests, complaints } = await openDocs(browser, server)

    expect(new Set(requests.map((url) => new URL(url).origin))).toEqual(new Set([server.url]))
    expect(requests.map((url) => new URL(url).pathname)).toContain('/api/v2/openapi.json')
    expect(complaints).toEqual([])
    await page.screenshot({ path: 'coverage/docs.png', fullPage: true })
  })

  test('shows every operation, and the schemas', async () => {
    const { page, complaints } = await openDocs(browser, server)

    expect(await page.locator('.opblock').count()).toBe(contracts.length)
    expect(await page.locator('.info .title').first().innerText()).toContain('desiAgent backend')
    expect(await page.locator('section.models').count()).toBe(1)
    expect(complaints).toEqual([])
  })

  test('lets a person authorise with a key and call getMe', async () => {
    const key = await newKey(server)
    const { page, requests, complaints } = await openDocs(browser, server)

    await page.locator('.btn.authorize').first().click()
    const form = page.locator('.modal-ux form').filter({ hasText: 'apiKey' }).first() // before that of the ticket
    await form.locator('input').fill(key)
    await form.locator('button[type=submit]').click()
    await form.locator('.btn-done').click()

    const getMe = page.locator('#operations-Authentication-getMe')
    await getMe.locator('.opblock-summary-control').click()
    await getMe.locator('.btn.execute').click()
    const answer = getMe.locator('.live-responses-table .response')
    await answer.waitFor()

    expect(await answer.locator('.response-col_status').innerText()).toContain('200')
    expect(await answer.locator('.response-col_description').innerText()).toContain('admin@pages.test')
    expect(new Set(requests.map((url) => new URL(url).origin))).toEqual(new Set([server.url]))
    expect(complaints).toEqual([])
    await getMe.screenshot({ path: 'coverage/docs-get-me.png' })
  })
})

interface OpenPage {
  page: Page
  /** Every address the page asked for. */
  requests: string[]
  /** Console errors and warnings (a broken Content-Security-Policy is one), and scripts that threw. */
  complaints: string[]
}

async function openDocs(browser: Browser, server: RunningServer): Promise<OpenPage> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  onTestFinished(() => page.close())
  const requests: string[] = []
  const complaints: string[] = []
  page.on('request', (request) => {
    if (!request.url().startsWith('data:')) requests.push(request.url())
  })
  page.on('requestfailed', (request) => complaints.push(`${request.url()} ${request.failure()?.errorText}`))
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  await page.goto(`${server.url}/api/v2/docs`, { waitUntil: 'networkidle' })
  await page.locator('.opblock').first().waitFor()
  return { page, requests, complaints }
}

/** The key of a new tenant's admin. */
async function newKey({ url, api }: RunningServer): Promise<string> {
  const { control, hasher, now } = api.stores
  const superAdmin = await createSuperAdminKey(control, hasher, true, now())
  const response = await fetch(`${url}/api/v2/admin/tenants`, {
    method: 'POST',
    headers: { authorization: `Bearer ${superAdmin}`, 'content-type': 'application/json' },
    body: JSON.stringify({ slug: 'pages', admin: { email: 'admin@pages.test' } }),
  })
  return ((await response.json()) as { apiKey: string }).apiKey
}
