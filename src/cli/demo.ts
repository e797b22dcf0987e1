import { once } from 'node:events'
import { ConfigError } from '../config.ts'
import { CommandError } from './command-error.ts'
import { ApiClient } from './demo/api-client.ts'
import { readArguments, type Wish } from './demo/arguments.ts'
import { type Ending, pursue, type Stage } from './demo/flow.ts'
import { listenForInterruption } from './demo/interruption.ts'
import { showFarewell, showKept, showOpening } from './demo/report.ts'
import { Screen } from './demo/screen.ts'
import { type DemoServer, startDemoServer } from './demo/server.ts'
import { sentence } from './demo/words.ts'

export { DEMO_HELP } from './demo/arguments.ts'

/** Shows a goal becoming a plan and a result, through an API of its own. Exit code 0: the execution has completed. */
export async function demo(args: string[]): Promise<void> {
  const wish = await readArguments(args)
  const interruption = listenForInterruption()
  const { signal } = interruption
  const server = await startDemoServer(wish.isKept).catch(failInWords)
  const api = new ApiClient(server.url, server.apiKey, signal)
  try {
    await play({ api, screen: new Screen(process.stdout), signal }, server, wish)
  } catch (error) {
    if (!signal.aborted) failInWords(error)
    process.exitCode = interruption.exitCode
  } finally {
    await api.close()
    await server.stop()
  }
  // A model that is still thinking about a plan would hold the process until it answers.
  if (signal.aborted) process.exit()
}

async function play(stage: Stage, server: DemoServer, wish: Wish): Promise<void> {
  const { screen, signal } = stage
  await showOpening(stage, wish)
  const { exitCode, executionId, reason } = await pursue(stage, wish).catch(asEnding(signal))
  process.exitCode = exitCode
  if (reason !== null) {
    screen.print()
    process.stderr.write(`${reason}\n`)
  }
  if (!wish.isKept) {
    if (reason === null) showFarewell(screen)
    return
  }
  showKept(screen, server, executionId)
  if (!signal.aborted) await once(signal, 'abort')
}

/** What the API refused is an ending like others: with --keep the server stays up for a look at it. */
function asEnding(signal: AbortSignal): (error: unknown) => Ending {
  return (error) => {
    if (signal.aborted || !(error instanceof CommandError)) throw error
    return { exitCode: 1, executionId: null, reason: error.message }
  }
}

/** A newcomer gets a sentence whatever happens, and no stack. */
function failInWords(error: unknown): never {
  if (error instanceof CommandError || error instanceof ConfigError) throw error
  const { message, cause } = error as { message: string; cause?: { message?: string } }
  throw new CommandError(sentence(`The demo cannot go on: ${cause?.message ?? message}`))
}
