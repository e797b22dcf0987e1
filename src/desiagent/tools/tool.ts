import type { z } from 'zod'
import type { OutboundFetch } from '#ports/outbound-fetch.ts'

/** What a tool does to the world: decides what may be repeated and what needs approval. */
export type SideEffects = 'none' | 'reads-outside' | 'writes-artifact' | 'acts-outside'

/** Something a sub-step may call. */
export interface Tool<S extends z.ZodType = z.ZodType> {
  readonly name: string
  readonly description: string
  readonly parameters: S
  readonly sideEffects: SideEffects
  run(input: z.output<S>, use: ToolUse): Promise<unknown>
}

/** What a tool may reach while it runs; all of it belongs to one execution of one tenant. */
export interface ToolUse {
  readonly signal: AbortSignal
  readonly timeoutMs: number
  /**
   * The same whenever this piece of work is repeated, also after a crash. A tool that acts outside passes it on, so that
   * what it does is done once.
   */
  readonly idempotencyKey: string
  readonly fetch: OutboundFetch
  readonly files: ExecutionFiles
  /** Tells readers of the event log how far a long call is. */
  progress(message: string): Promise<void>
  /** Calls the model the sub-step would use, on the account of the sub-step. */
  askModel(prompt: string, material: string | null): Promise<string>
}

/** The files of one execution, by name. What a sub-step writes becomes visible to others when it completes. */
export interface ExecutionFiles {
  read(name: string): Promise<ExecutionFile | null>
  write(name: string, contentType: string, bytes: Uint8Array): Promise<void>
  names(): Promise<string[]>
}

export interface ExecutionFile {
  name: string
  contentType: string
  bytes: Uint8Array
}

export function defineTool<S extends z.ZodType>(tool: Tool<S>): Tool {
  return tool as unknown as Tool
}

/** A tool could not do what it was asked. Passing reasons are tried again. */
export class ToolError extends Error {
  readonly code: string
  readonly isPassing: boolean

  constructor(code: string, message: string, isPassing = false) {
    super(message)
    this.name = 'ToolError'
    this.code = code
    this.isPassing = isPassing
  }
}
