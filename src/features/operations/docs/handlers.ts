import type { App } from '#kit/http/env.ts'
import { NotFound } from '#kit/http/errors.ts'
import type { Assets } from '#ports/assets.ts'
import * as contract from './contract.ts'
import { ASSET_TYPES, INIT_SCRIPT, PAGE, PAGE_POLICY } from './page.ts'

export function mountDocs(app: App, assets: Assets, document: () => object): void {
  let printed: string | undefined

  app.openapi(contract.getOpenApi, (c) => {
    printed ??= JSON.stringify(document())
    c.header('Content-Type', 'application/json')
    return c.body(printed, 200) as never
  })

  app.openapi(contract.getDocs, (c) => {
    c.header('Content-Security-Policy', PAGE_POLICY)
    return c.html(PAGE, 200)
  })

  app.openapi(contract.getDocsAsset, async (c) => {
    const { file } = c.req.valid('param')
    const type = ASSET_TYPES[file]
    const bytes = file === 'init.js' ? new TextEncoder().encode(INIT_SCRIPT) : type && (await assets.get(file))
    if (!type || !bytes) throw new NotFound()
    c.header('Content-Type', type)
    c.header('Cache-Control', 'public, max-age=3600')
    return c.body(bytes as Uint8Array<ArrayBuffer>, 200)
  })
}
