import { expect, test, vi } from 'vitest'
import { LiveAnswers, liveTopic } from '#desiagent/executor/live-answers.ts'
import { localWake } from '#kit/local-wake.ts'

const MILLION = 1_000_000

function liveAnswers() {
  const wake = localWake()
  const answers = new LiveAnswers(wake)
  return { wake, answers, texts: (execution: string) => answers.of(execution).map(({ text }) => text) }
}

test('what is said can be read while it is said, each task by itself, each execution by itself', () => {
  const { answers } = liveAnswers()
  const one = answers.begin('e', '1', 1)
  const synthesis = answers.begin('e', null, 1)
  const other = answers.begin('other', '1', 1)

  one.say('Hel')
  one.say('lo')
  synthesis.say('So')
  other.say('Hi')

  expect(answers.of('e')).toMatchObject([
    { taskId: '1', attempt: 1, text: 'Hello' },
    { taskId: null, attempt: 1, text: 'So' },
  ])
  expect(answers.of('other')).toMatchObject([{ taskId: '1', text: 'Hi' }])
  expect(answers.of('nobody')).toEqual([])
})

test('a later call of a task takes the place of the one before, which is heard no more', () => {
  const { answers, texts } = liveAnswers()
  const first = answers.begin('e', '1', 1)
  first.say('half of an ans')
  first.end()
  const second = answers.begin('e', '1', 2)
  expect(texts('e')).toEqual(['half of an ans']) // the second has not said a word

  second.say('whole')
  first.say(' too late')
  first.end()

  expect(answers.of('e')).toMatchObject([{ attempt: 2, text: 'whole' }])
})

test('the text of a call that has ended is kept for five seconds, one that goes on for as long as it does', () => {
  vi.useFakeTimers()
  try {
    const { answers, texts } = liveAnswers()
    const [one, two] = [answers.begin('e', '1', 1), answers.begin('e', '2', 1)]
    one.say('done')
    two.say('goes on')
    one.end()
    vi.advanceTimersByTime(4_900)
    expect(texts('e')).toEqual(['done', 'goes on'])
    vi.advanceTimersByTime(200)
    expect(texts('e')).toEqual(['goes on'])
    vi.advanceTimersByTime(60_000)
    two.say('.')
    two.end()
    vi.advanceTimersByTime(5_100)
    expect(texts('e')).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

test('readers are roused at the first word and then every 50 ms at most, and hear of the last', () => {
  vi.useFakeTimers()
  try {
    const { wake, answers, texts } = liveAnswers()
    const heard: string[] = []
    wake.subscribe(liveTopic('e'), () => heard.push(texts('e').join()))
    const speaker = answers.begin('e', '1', 1)
    for (let i = 0; i < 100; i += 1) {
      speaker.say(String(i % 10))
      vi.advanceTimersByTime(5)
    }
    speaker.say('!')
    speaker.end()
    vi.advanceTimersByTime(50)

    expect(heard[0]).toBe('0')
    expect(heard.length).toBeGreaterThanOrEqual(10)
    expect(heard.length).toBeLessThanOrEqual(12) // 500 ms
    expect(heard.at(-1)).toBe(`${'0123456789'.repeat(10)}!`)
  } finally {
    vi.useRealTimers()
  }
})

test('a text ends at a million characters, and what follows is not put behind the gap', () => {
  const { answers, texts } = liveAnswers()
  const speaker = answers.begin('e', '1', 1)
  speaker.say('a'.repeat(MILLION - 2))
  speaker.say('bcd')
  speaker.say('e')
  expect(texts('e')[0]?.length).toBe(MILLION)
  expect(texts('e')[0]?.slice(-3)).toBe('abc')
})

test('all texts together stay within their bound: what ended first goes first, then nothing more is taken in', () => {
  const { answers, texts } = liveAnswers()
  const spoken = (execution: string) => {
    const speaker = answers.begin(execution, '1', 1)
    speaker.say('x'.repeat(MILLION))
    return speaker
  }
  for (let i = 0; i < 10; i += 1) spoken(`ended-${i}`).end()
  for (let i = 0; i < 10; i += 1) spoken(`speaking-${i}`)

  spoken('one more')
  expect(texts('ended-0')).toEqual([])
  expect(texts('ended-1')[0]?.length).toBe(MILLION)

  for (let i = 0; i < 20; i += 1) spoken(`further-${i}`)
  const names = ['one more', ...range(10, 'ended'), ...range(10, 'speaking'), ...range(20, 'further')]
  const kept = names.flatMap(texts).reduce((sum, { length }) => sum + length, 0)
  expect(kept).toBe(20 * MILLION)
  expect(range(10, 'speaking').every((name) => texts(name)[0]?.length === MILLION)).toBe(true)
})

test('a text that another has taken the place of takes up no room', () => {
  const { answers, texts } = liveAnswers()
  for (let attempt = 1; attempt <= 30; attempt += 1) answers.begin('e', '1', attempt).say('x'.repeat(MILLION))
  answers.begin('other', '1', 1).say('heard')
  expect(texts('other')).toEqual(['heard'])
})

test('calls that never say a word leave nothing behind', () => {
  const { answers } = liveAnswers()
  for (let i = 0; i < 1_000; i += 1) {
    const speaker = answers.begin('e', String(i), 1)
    speaker.say('')
    speaker.end()
  }
  expect(answers.of('e')).toEqual([])
})

function range(count: number, name: string): string[] {
  return Array.from({ length: count }, (_, i) => `${name}-${i}`)
}
