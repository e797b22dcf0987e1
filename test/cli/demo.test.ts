import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openAiServer, type Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { ApiClient } from '../../src/cli/demo/api-client.ts'
import { inputName, readInputs } from '../../src/cli/demo/inputs.ts'
import { parallelism, planTree } from '../../src/cli/demo/plan-tree.ts'

const ROOT = join(import.meta.dirname, '../..')

interface Ran {
  exitCode: number | null
  output: string
  errors: string
  /** What the demo left in its temporary folder. */
  left: string[]
}

/** The real command in a process of its own, with nothing of our environment but the path. */
function start(args: string[], env: Record<string, string> = {}) {
  const folder = temporaryFolder()
  const child = spawn(process.execPath, ['src/cli.ts', 'demo', ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', NO_COLOR: '1', TMPDIR: folder, RETRY_BASE_MS: '5', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const texts = { output: '', errors: '' }
  child.stdout.on('data', (chunk) => (texts.output += chunk))
  child.stderr.on('data', (chunk) => (texts.errors += chunk))
  const ended = new Promise<Ran>((resolve) => {
    child.once('close', (exitCode) => resolve({ exitCode, ...texts, left: demoFolders(folder) }))
  })
  return { child, texts, ended }
}

function demoFolders(folder: string): string[] {
  // The folder is gone when a test has ended without waiting for its process.
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith('desi-demo-')) : []
}

function demo(args: string[], env?: Record<string, string>): Promise<Ran> {
  return start(args, env).ended
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'desi-demo-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function fileOf(name: string, content: string | Uint8Array): string {
  const path = join(temporaryFolder(), name)
  writeFileSync(path, content)
  return path
}

async function listening(handler: RequestListener): Promise<string> {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

test('without a goal the demo plans, runs and shows notes of its own, and leaves nothing behind', async () => {
  const { exitCode, output, errors, left } = await demo([])

  expect({ exitCode, errors, left }).toEqual({ exitCode: 0, errors: '', left: [] })
  expect(output).toMatch(/Swagger UI {2}http:\/\/127\.0\.0\.1:\d+\/api\/v2\/docs/)
  expect(output).toContain('├─ 002  Summarise meeting-notes.md  [agent inference, after 001]')
  expect(output).toContain('[tool writeFile, after 002, 003, 004]')
  expect(output).toContain('At the same time: 002, 003 and 004.')
  expect(output).toMatch(/✓ 004 {2}Count its words · \d+ ms/)
  expect(output).toContain('- [ ] Jonas merges the batch import by 19 May.')
  expect(output).toMatch(/Total +[\d,]+ +[\d,]+ +[\d,]+ +\$0\.000000/)
  expect(output).toMatch(/report\.md {2}\d+ bytes\n +GET http:.*\/artifacts\//)
  expect(output).toContain('The offline model is no language model.')
  expect(output).not.toContain('\u001b')
})

test('a long file of the user becomes the result, and the sample does not', async () => {
  const lines = Array.from({ length: 250 }, (_, i) => `Line ${i + 1} tells about the harbour of Bergen.`)
  const path = fileOf('harbour.md', `# The harbour\n\n## Ships\n\n${lines.join('\n')}\n`)
  const { exitCode, output } = await demo(['--input', path, 'List the headings of harbour.md and count its lines'])

  expect(exitCode).toBe(0)
  expect(output).toContain('  - Ships')
  expect(output).toContain('- 254 lines')
  expect(output).not.toContain('meeting-notes')
})

test('a question of the planner ends the demo with 2, and with an answer it goes on', async () => {
  const [open, answered] = await Promise.all([
    demo(['Summarise it']),
    demo(['Summarise it', '--answer', 'The cat sat on the mat. The mat was warm.']),
  ])

  expect(open.exitCode).toBe(2)
  expect(open.output).toContain('The planner asks')
  expect(open.errors).toContain('--answer "your answer"')
  expect(answered.exitCode).toBe(0)
  expect(answered.output).toContain('\nThe cat sat on the mat. The mat was warm.\n')
  expect(answered.output).toMatch(/Plan 2 /)
})

test('a file that cannot be sent is one sentence and 1', async () => {
  const binary = fileOf('image.png', new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0, 0xff]))
  const large = fileOf('large.txt', 'x'.repeat(1_000_001))
  const { exitCode, output, errors } = await demo(['--input', '/no/such.md', 'Summarise it'])

  expect({ exitCode, output, errors }).toEqual({ exitCode: 1, output: '', errors: 'There is no file /no/such.md.\n' })
  await expect(readInputs([ROOT])).rejects.toThrow(`${ROOT} is not a file.`)
  await expect(readInputs([binary])).rejects.toThrow(`The file ${binary} is not UTF-8 text.`)
  await expect(readInputs([large])).rejects.toThrow(`The file ${large} is too large: at most 1,000,000 characters.`)
})

test('a model server that fails is told in words', async () => {
  const broken = await openAiServer(() => ({ status: 500 }))
  const locked = await openAiServer(() => ({ status: 401 }))
  const [after500, after401] = await Promise.all([demo([], broken.env), demo([], locked.env)])

  expect(after500).toMatchObject({ exitCode: 1, errors: 'The model provider failed with status 500.\n', left: [] })
  expect(after401).toMatchObject({ exitCode: 1, errors: 'The model provider refused our key.\n', left: [] })
})

test('an execution that stops or breaks half-way shows what there is, says why and ends with 1', async () => {
  const plan = JSON.stringify(
    planOf([
      { id: '001', prompt: 'go well' },
      { id: '002', prompt: 'go wrong' },
      { id: '003', dependencies: ['002'] },
    ]),
  )
  const script = (whenWrong: Reply) =>
    openAiServer(({ task, messages }) => {
      if (task === 'plan') return plan
      return task === 'answer' && messages[0] === 'go wrong' ? whenWrong : 'fine'
    })
  const [refusing, locked] = [await script({ status: 400 }), await script({ status: 401 })]
  const [partial, suspended] = await Promise.all([
    demo([], { ...refusing.env, LLM_MODEL: 'nobody-knows-its-price' }),
    demo([], locked.env),
  ])

  expect(partial.exitCode).toBe(1)
  expect(partial.output).toMatch(/– 003 {2}task 003 · skipped/)
  expect(partial.output).toMatch(/Total .* unknown/)
  expect(partial.errors).toMatch(/^The execution ended as partial\. 002 failed: .*\. Skipped: 003\.\n$/)
  expect(suspended.exitCode).toBe(1)
  expect(suspended.errors).toMatch(/^The execution is suspended\. key_refused: .*\.\n$/)
})

test('with --keep the server answers until it is told to stop, and its data stays', async () => {
  const { child, texts, ended } = start(['--keep', 'Count the words of this text: one two three'])
  await expect.poll(() => texts.output, { timeout: 15_000 }).toContain('curl')
  const [, command, key, url] = /(curl) -H 'Authorization: Bearer (\S+)' (\S+)/.exec(texts.output) ?? []
  const health = await fetch(new URL('/health', url))
  const execution = await fetch(url!, { headers: { authorization: `Bearer ${key}` } })
  child.kill('SIGTERM')

  expect([command, health.status, execution.status]).toEqual(['curl', 200, 200])
  expect(await execution.json()).toMatchObject({ status: 'completed' })
  expect(await ended).toMatchObject({ exitCode: 0, errors: '', left: [expect.stringMatching(/^desi-demo-/)] })
  await expect(fetch(new URL('/health', url))).rejects.toThrow()
})

test('Ctrl-C while a model is thinking stops at once and leaves nothing behind', async () => {
  const thinking = Promise.withResolvers<void>()
  const { env } = await openAiServer(() => {
    thinking.resolve()
    return 'hang!'
  })
  const { child, ended } = start([], env)
  await thinking.promise
  child.kill('SIGINT')

  expect(await ended).toMatchObject({ exitCode: 130, errors: '', left: [] })
})

test('a stream of events that breaks is taken up behind the last event', async () => {
  const asked: (string | undefined)[] = []
  const url = await listening((request, response) => {
    asked.push(request.headers['last-event-id'] as string | undefined)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const event = (seq: number, type: string) => `id: ${seq}\nevent: ${type}\ndata: {"seq":${seq},"type":"${type}"}\n\n`
    if (asked.length > 1) response.end(`: heartbeat\n\n${event(2, 'execution:completed')}`)
    else response.write(`${event(1, 'execution:started')}id: 2\ndata: {"se`, () => response.destroy())
  })
  const api = new ApiClient(url, 'key', new AbortController().signal)
  const types: string[] = []
  for await (const { type } of api.followExecution('an-id')) types.push(type)
  await api.close()

  expect(types).toEqual(['execution:started', 'execution:completed'])
  expect(asked).toEqual(['0', '1'])
})

test('a plan is drawn with each task once, below the last one it waits for', () => {
  const plan = planOf([
    { id: 'a' },
    { id: 'b', dependencies: ['a'] },
    { id: 'c', dependencies: ['b', 'a'] },
    { id: 'd', dependencies: ['a'] },
    { id: 'e', tool: 'readFile' },
  ]) as Parameters<typeof planTree>[0]

  expect(planTree(plan, 80)).toEqual([
    'a  task a  [agent inference]',
    '├─ b  task b  [agent inference, after a]',
    '│  └─ c  task c  [agent inference, after b, a]',
    '└─ d  task d  [agent inference, after a]',
    'e  task e  [tool readFile]',
  ])
  expect(parallelism(plan)).toBe('At the same time: a and e; then b and d.')
})

test('a file goes by its own name as far as the API takes it', () => {
  expect(['/tmp/notes.md', 'what?:<1>.md', 'ﬁne．md', '/tmp/...'].map(inputName)).toEqual([
    'notes.md',
    'what---1-.md',
    'fine.md',
    'input.txt',
  ])
})
