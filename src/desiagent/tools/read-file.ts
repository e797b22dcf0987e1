import { z } from 'zod'
import { FileName } from './file-name.ts'
import { defineTool, ToolError } from './tool.ts'

const MAX_BYTES = 1_000_000

export const readFile = defineTool({
  name: 'readFile',
  description:
    'Reads a text file of this execution: an input the user gave, or one an earlier task wrote. Returns its text.',
  parameters: z.strictObject({ path: FileName.describe('The name of the file.') }),
  sideEffects: 'none',
  async run({ path }, { files }) {
    const file = await files.read(path)
    if (!file) throw new ToolError('file_not_found', await notFound(path, files.names()))
    if (file.bytes.byteLength > MAX_BYTES)
      throw new ToolError('file_too_large', `${path} is larger than ${MAX_BYTES} bytes.`)
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(file.bytes)
    } catch {
      throw new ToolError('file_not_text', `${path} is not a UTF-8 text file.`)
    }
  },
})

async function notFound(path: string, known: Promise<string[]>): Promise<string> {
  const names = await known
  return `There is no file ${path}. ${names.length > 0 ? `There are: ${names.join(', ')}.` : 'This execution has no files.'}`
}
