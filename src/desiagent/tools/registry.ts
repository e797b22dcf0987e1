import { z } from 'zod'
import { fetchPage } from './fetch-page.ts'
import { llmExecute } from './llm-execute.ts'
import { readFile } from './read-file.ts'
import type { SideEffects, Tool } from './tool.ts'
import { writeFile } from './write-file.ts'

const TOOLS: ReadonlyMap<string, Tool> = new Map(
  [fetchPage, llmExecute, readFile, writeFile].map((tool) => [tool.name, tool]),
)

export function findTool(name: string): Tool | null {
  return TOOLS.get(name) ?? null
}

/** A tool as planners and users see it. */
export interface ToolDescription {
  name: string
  description: string
  /** JSON Schema (draft 2020-12) of its parameters. */
  parameters: Record<string, unknown>
  sideEffects: SideEffects
  requiresApproval: boolean
}

const DESCRIPTIONS: readonly ToolDescription[] = [...TOOLS.values()].map((tool) => {
  const { $schema: _, ...parameters } = z.toJSONSchema(tool.parameters, { io: 'input' })
  const { name, description, sideEffects } = tool
  return { name, description, parameters, sideEffects, requiresApproval: false }
})

/** All tools by name, or those an agent is allowed. */
export function describeTools(allowed: readonly string[] | null = null): readonly ToolDescription[] {
  return allowed === null ? DESCRIPTIONS : DESCRIPTIONS.filter(({ name }) => allowed.includes(name))
}
