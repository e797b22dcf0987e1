import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PATH = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'

/** False without a browser: the pages are then not tested, and that is said. */
export const hasBrowser = existsSync(PATH)

if (!hasBrowser) {
  process.stderr.write(`\nNO BROWSER at ${PATH}: the pages are NOT tested. Set CHROMIUM_PATH, or install chromium.\n\n`)
}

/** A browser that calls nobody on its own, so that every request seen is the page's. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: PATH,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
