import fc from 'fast-check'
import type { ModelCall, Reply } from './openai-server.ts'
import { planOf } from './plans.ts'

/** What befalls a call of a model before one succeeds. All pass, so that the call is made again. */
const PASSING = ['limited', 'failed', 'cut', 'garbage', 'empty'] as const

type Misfortune = (typeof PASSING)[number]

export interface StepSketch {
  /** `own` is an agent whose model nobody knows the price of. */
  does: 'inference' | 'own' | 'llmExecute' | 'writeFile' | 'readFile'
  befalls: Misfortune[]
  /** `refused` fails the step for good, `locked` suspends the execution. */
  end: 'answered' | 'refused' | 'locked'
  after: number[]
}

/** A piece of work somebody asks for, and what is done with it afterwards. */
export interface CaseSketch {
  by: 'admin' | 'member' | 'service'
  way: 'planned' | 'given'
  model: string | undefined
  isPlannedTwice: boolean
  title: 'answered' | 'failed' | 'cut'
  steps: StepSketch[]
  isExecutedAgainBy: CaseSketch['by'] | null
  isResumed: boolean
  isDeleted: boolean
  hoursLater: number
}

const randomStep: fc.Arbitrary<StepSketch> = fc.record({
  does: fc.constantFrom('inference', 'own', 'llmExecute', 'writeFile', 'readFile'),
  befalls: fc.oneof(
    { weight: 3, arbitrary: fc.constant<Misfortune[]>([]) },
    { weight: 2, arbitrary: fc.array(fc.constantFrom(...PASSING), { maxLength: 3 }) },
  ),
  end: fc.oneof(
    { weight: 8, arbitrary: fc.constant('answered' as const) },
    { weight: 1, arbitrary: fc.constant('refused' as const) },
    { weight: 1, arbitrary: fc.constant('locked' as const) },
  ),
  after: fc.array(fc.nat(), { maxLength: 2 }),
})

const randomCaller = fc.constantFrom('admin' as const, 'member' as const, 'service' as const)

export const randomCase: fc.Arbitrary<CaseSketch> = fc.record({
  by: randomCaller,
  way: fc.constantFrom('planned', 'given'),
  model: fc.constantFrom(undefined, undefined, 'gpt-4o', 'nobody-knows'),
  isPlannedTwice: fc.boolean(),
  title: fc.constantFrom('answered', 'answered', 'failed', 'cut'),
  steps: fc.array(randomStep, { minLength: 1, maxLength: 6 }),
  isExecutedAgainBy: fc.option(randomCaller),
  isResumed: fc.boolean(),
  isDeleted: fc.boolean(),
  hoursLater: fc.nat({ max: 24 * 20 }),
})

/** @param name  every prompt of the case begins with it */
export function planOfCase(name: string, { steps }: CaseSketch) {
  const sketches = steps.map(({ does, after }, index) => ({
    id: `t${index}`,
    prompt: `${name}/${index}`,
    ...(does === 'writeFile' ? { tool: does, params: { path: `t${index}.md`, content: 'x' } } : {}),
    ...(does === 'readFile' ? { tool: does, params: { path: 'absent.md' } } : {}),
    ...(does === 'llmExecute' ? { tool: does, params: { prompt: `${name}/${index}` } } : {}),
    dependencies: index === 0 ? [] : [...new Set(after.map((number) => `t${number % index}`))],
  }))
  const plan = planOf(sketches, { original_request: `goal of ${name}` })
  for (const [index, task] of plan.sub_tasks.entries())
    if (steps[index]?.does === 'own') task.tool_or_prompt.name = 'own'
  return plan
}

/** Answers the calls of cases as their sketches say; every answer counts other tokens than the one before. */
export function scriptOf(cases: ReadonlyMap<string, CaseSketch>): (call: ModelCall) => Reply {
  const seen = new Map<string, number>()
  let answers = 0
  const answered = (text: string): Reply => {
    answers += 1
    return {
      text,
      usage: {
        prompt_tokens: 50 + ((answers * 37) % 900),
        completion_tokens: 1 + ((answers * 13) % 300),
        cached_tokens: (answers * 7) % 50,
      },
    }
  }
  const nth = (key: string): number => {
    const count = seen.get(key) ?? 0
    seen.set(key, count + 1)
    return count
  }
  const misfortune = (kind: Misfortune): Reply => {
    if (kind === 'limited') return { status: 429 }
    if (kind === 'failed') return { status: 500 }
    if (kind === 'empty') return answered('')
    return kind === 'cut' ? 'cut!' : 'garbage!'
  }
  return ({ task, messages, idempotencyKey }) => {
    const [, name = '', step] = /(case-\d+)(?:\/(\d+))?/.exec(messages.join('\n')) ?? []
    const sketch = cases.get(name) as CaseSketch
    if (task === 'plan') {
      const isSpoilt = sketch.isPlannedTwice && nth(`${name}/plan`) === 0
      return answered(isSpoilt ? 'I would rather talk.' : JSON.stringify(planOfCase(name, sketch)))
    }
    if (task === 'title') {
      if (sketch.title === 'answered') return answered('A title')
      return sketch.title === 'cut' ? 'cut!' : { status: 400 }
    }
    if (task === 'synthesis') return answered('All done.')
    const { befalls, end } = sketch.steps[Number(step)] as StepSketch
    const befallen = befalls[nth(`${idempotencyKey}`)]
    if (befallen) return misfortune(befallen)
    if (end === 'answered') return answered('Done.')
    return { status: end === 'refused' ? 400 : 401 }
  }
}
