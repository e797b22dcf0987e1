import { z } from 'zod'
import { OutboundError } from '#ports/outbound-fetch.ts'
import { pageText, UnreadablePage } from './page-text.ts'
import { defineTool, ToolError } from './tool.ts'

const MAX_BYTES = 2_000_000
const MAX_CHARACTERS = 200_000

export const fetchPage = defineTool({
  name: 'fetchPage',
  description:
    'Reads a public web page and returns { url, title, text }: its readable text without navigation and scripts.',
  parameters: z.strictObject({
    url: z
      .url({ protocol: /^https?$/ })
      .max(2_000)
      .describe('An http or https address.'),
  }),
  sideEffects: 'reads-outside',
  async run({ url }, { fetch, signal, timeoutMs }) {
    const page = await fetch(url, { signal, timeoutMs, maxBytes: MAX_BYTES }).catch(asToolError)
    if (page.status >= 400) {
      const isPassing = page.status === 429 || page.status >= 500
      throw new ToolError('page_error', `${url} answered with status ${page.status}.`, isPassing)
    }
    try {
      const { title, text } = pageText(page)
      return { url: page.url, title, text: text.slice(0, MAX_CHARACTERS) }
    } catch (error) {
      if (error instanceof UnreadablePage) throw new ToolError('page_unreadable', error.message)
      throw error
    }
  },
})

function asToolError(error: unknown): never {
  if (!(error instanceof OutboundError)) throw error
  const isPassing = error.reason === 'unreachable' || error.reason === 'timeout'
  throw new ToolError(`page_${error.reason}`, error.message, isPassing)
}
