import { type ModelCall, type OpenAiServer, openAiServer, type Reply } from './openai-server.ts'

/** A model whose answers wait as long as a test wants them to. A call is named by its first message; see `nameOf`. */
export interface HeldModel extends OpenAiServer {
  /** Calls of these names get no answer until they are let go. */
  hold(...names: string[]): void
  letGo(...names: string[]): void
  /** The calls so far, in order, of this name. */
  of(name: string): ModelCall[]
  /** The names of the calls so far, in order. */
  names(): string[]
}

/** @param script  what it answers, once it does; `ok` when left out */
export async function heldModel(script: (call: ModelCall) => Reply = () => 'ok'): Promise<HeldModel> {
  const held = new Map<string, PromiseWithResolvers<void>>()
  const server = await openAiServer(async (call) => {
    await held.get(nameOf(call))?.promise
    return script(call)
  })
  return {
    ...server,
    hold(...names) {
      for (const name of names) held.set(name, Promise.withResolvers())
    },
    letGo(...names) {
      for (const name of names) held.get(name)?.resolve()
      for (const name of names) held.delete(name)
    },
    of: (name) => server.calls.filter((call) => nameOf(call) === name),
    names: () => server.calls.map(nameOf),
  }
}

/** `plan`, `title`, `synthesis`, or the prompt of a task. */
export function nameOf({ task, messages }: ModelCall): string {
  return task === 'answer' ? (messages[0] ?? '') : task
}
