import type { Cost, EndedExecution } from './api-client.ts'
import type { Wish } from './arguments.ts'
import { costTable, modelsUsed, unpricedNote } from './cost-table.ts'
import type { Stage } from './flow.ts'
import type { Screen } from './screen.ts'
import type { DemoServer } from './server.ts'
import { clip, printable, size, wrapped } from './words.ts'

const LONGEST_GOAL = 1_000
const ABOUT_OFFLINE =
  'The offline model is no language model. It plans by the words of the goal and works on the given text by extraction: ' +
  'it picks sentences, lists and counts, needs no key and no network, and says so when something is beyond it. ' +
  'Set OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_API_KEY, OPENROUTER_API_KEY or OLLAMA_BASE_URL, for example in .env, ' +
  'and the same command uses a language model.'

export async function showOpening({ api, screen }: Stage, { goalText, inputs }: Wish): Promise<void> {
  const { provider, model } = await api.getReadiness()
  screen.print(screen.paint('bold', 'desiAgent: a goal in words becomes a plan, runs, and answers.'))
  screen.print()
  screen.print(`  API         ${api.baseUrl}`)
  screen.print(`  Swagger UI  ${api.baseUrl}/docs`)
  screen.print(`  Model       ${model} (${provider})`)

  screen.title('Goal')
  for (const line of wrapped(clip(goalText, LONGEST_GOAL), screen.width - 2)) screen.print(`  ${line}`)
  for (const { name, content } of inputs) {
    screen.print(`  ${screen.paint('dim', `with ${name}, ${size(Buffer.byteLength(content))}`)}`)
  }
}

/** The answer as it came: Markdown, with its headings in bold where there is bold. */
export function showResult(screen: Screen, { finalResult }: EndedExecution): void {
  if (finalResult === null) return
  screen.title('Result')
  screen.print()
  for (const line of printable(finalResult).trim().split('\n')) {
    screen.print(/^#{1,6} /.test(line) ? screen.paint('bold', line) : line)
  }
}

export function showCosts(screen: Screen, cost: Cost): void {
  screen.title('Tokens and cost')
  const lines = costTable(cost)
  lines.forEach((line, index) => {
    const isFrame = index === 0 || index === lines.length - 1
    screen.print(`  ${isFrame ? screen.paint('bold', line) : line}`)
  })
  const unpriced = unpricedNote(cost)
  if (unpriced !== null) showNote(screen, unpriced)
}

/** The model that plans, and those of the steps when they are others. */
export async function showModels({ api, screen }: Stage, cost: Cost): Promise<void> {
  const { provider, model } = await api.getReadiness()
  const models = [...new Set([`${model} (${provider})`, ...modelsUsed(cost)])]
  screen.title(models.length === 1 ? 'Model' : 'Models')
  screen.print(`  ${models.join(', ')}`)
  if (provider === 'offline') showNote(screen, ABOUT_OFFLINE)
}

export async function showArtifacts({ api, screen }: Stage, executionId: string): Promise<void> {
  const written = (await api.listArtifacts(executionId)).filter(({ origin }) => origin === 'output')
  if (written.length === 0) return
  screen.title('Files written')
  for (const file of written) {
    screen.print(`  ${printable(file.name)}  ${size(file.sizeBytes)}`)
    screen.print(`    ${screen.paint('dim', `GET ${api.artifactUrl(file)}`)}`)
  }
}

export function showFarewell(screen: Screen): void {
  screen.title('Next')
  screen.print('  This server stops now and its data is removed.')
  screen.print(`  Your own text   npm run demo -- "Summarise notes.md and list its dates" --input notes.md`)
  screen.print('  Swagger UI      npm run demo -- --keep   leaves the server running and shows the address')
}

export function showKept(screen: Screen, { url, dataDir, apiKey }: DemoServer, executionId: string | null): void {
  const path = executionId === null ? '/dags' : `/executions/${executionId}`
  screen.title('The server keeps running; Ctrl-C stops it')
  screen.print(`  URL         ${url}`)
  screen.print(`  Swagger UI  ${url}/api/v2/docs`)
  screen.print(`  API key     ${apiKey}`)
  screen.print(`  Data        ${dataDir} (stays; DESI_DATA_DIR=${dataDir} npm start serves it again)`)
  screen.print(`  Try         curl -H 'Authorization: Bearer ${apiKey}' ${url}/api/v2${path}`)
}

function showNote(screen: Screen, text: string): void {
  for (const line of wrapped(text, screen.width - 2)) screen.print(`  ${screen.paint('dim', line)}`)
}
