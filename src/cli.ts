import { ProductError } from '#kit/errors.ts'
import { BOOTSTRAP_HELP, bootstrap } from './cli/bootstrap.ts'
import { CommandError } from './cli/command-error.ts'
import { DEMO_HELP, demo } from './cli/demo.ts'
import { ConfigError } from './config.ts'

const COMMANDS: Record<string, { run(args: string[]): Promise<void>; help: string }> = {
  bootstrap: { run: bootstrap, help: BOOTSTRAP_HELP },
  demo: { run: demo, help: DEMO_HELP },
}

async function main([name = 'help', ...args]: string[]): Promise<void> {
  const command = COMMANDS[name]
  if (!command || args.includes('--help')) {
    const helps = command ? [command.help] : Object.values(COMMANDS).map(({ help }) => help)
    process.stdout.write(`${helps.join('\n\n')}\n`)
    if (!command && name !== 'help') process.exitCode = 2
    return
  }
  try {
    await command.run(args)
  } catch (error) {
    process.stderr.write(`${inWords(error)}\n`)
    process.exitCode = 1
  }
}

function inWords(error: unknown): string {
  if (error instanceof CommandError || error instanceof ConfigError || error instanceof ProductError)
    return error.message
  const { code } = error as { code?: string }
  if (code?.startsWith('ERR_PARSE_ARGS')) return (error as Error).message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

await main(process.argv.slice(2))
