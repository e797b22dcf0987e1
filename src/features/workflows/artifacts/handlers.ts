import type { App } from '#kit/http/env.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import type { WithDesiAgent } from '../context.ts'
import * as contract from './contract.ts'
import * as artifacts from './service.ts'

export function mountArtifacts(app: App, withDesi: WithDesiAgent): void {
  app.openapi(contract.listArtifacts, async (c) => {
    const query = c.req.valid('query')
    const page = await artifacts.listArtifacts(withDesi(c.get('tenant')), c.req.valid('param').id, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.downloadArtifact, async (c) => {
    const { id, artifactId } = c.req.valid('param')
    const { artifact, bytes } = await artifacts.readArtifact(withDesi(c.get('tenant')), id, artifactId)
    // As an attachment and never sniffed: what a model wrote must not run in our origin.
    c.header('Content-Disposition', `attachment; filename*=UTF-8''${extValue(artifact.name)}`)
    c.header('Content-Type', artifact.contentType)
    return c.body(bytes as Uint8Array<ArrayBuffer>, 200)
  })
}

/** RFC 8187: what encodeURIComponent leaves as it is and a header value may not hold is encoded too. */
function extValue(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /['()*!]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
