import { z } from 'zod'
import { contentTypeOf } from './content-type.ts'
import { FileName } from './file-name.ts'
import { defineTool, ToolError } from './tool.ts'

const MAX_BYTES = 5_000_000

export const writeFile = defineTool({
  name: 'writeFile',
  description:
    'Writes a text file as an artifact of this execution, replacing one of the same name. Returns its name and size.',
  parameters: z.strictObject({
    path: FileName.describe('The name of the file, for example report.md.'),
    content: z
      .union([z.string(), z.record(z.string(), z.unknown()), z.array(z.unknown())])
      .describe('Its text; anything else is written as JSON.'),
  }),
  sideEffects: 'writes-artifact',
  async run({ path, content }, { files }) {
    const text = typeof content === 'string' ? content : JSON.stringify(content, null, 2)
    const bytes = new TextEncoder().encode(text)
    if (bytes.byteLength > MAX_BYTES)
      throw new ToolError('file_too_large', `${path} would be larger than ${MAX_BYTES} bytes.`)
    await files.write(path, contentTypeOf(path), bytes)
    return { path, sizeBytes: bytes.byteLength }
  },
})
