import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { ExecutionDelta } from '#desiagent/events.ts'
import { LiveAnswers } from '#desiagent/executor/live-answers.ts'
import { FULL_PIECE, type LogPiece } from '#features/workflows/executions/shared-log.ts'
import { ToldDeltas } from '#features/workflows/executions/told-deltas.ts'
import { localWake } from '#kit/local-wake.ts'
import { allEvents, type StreamedEvent } from '#test/support/events.ts'
import { type ModelCall, openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

const WORDS = Array.from({ length: 40 }, (_, i) => `word-${i}`).join(' ')
const TWO = planOf([{ id: '1' }, { id: '2', dependencies: ['1'] }])
const WITH_DELTAS = '?include=deltas'

const isDelta = ({ event }: StreamedEvent) => event === 'execution:delta'
const isStep = (id: string) => (call: ModelCall) => call.messages.join('').includes(`do ${id}`)

/** What a client has that puts the pieces of a task together, and in how many pieces it came. */
function heard(events: StreamedEvent[], taskId: string | null): { text: string; pieces: number } {
  let [text, attempt, pieces] = ['', 0, 0]
  for (const { data } of events.filter(isDelta)) {
    const delta = ExecutionDelta.parse(data)
    if (delta.taskId !== taskId) continue
    if (delta.attempt !== attempt) text = ''
    expect(delta.offset).toBe(text.length)
    attempt = delta.attempt
    text += delta.text
    pieces += 1
  }
  return { text, pieces }
}

const placeOf = (events: StreamedEvent[], type: string, taskId?: string) =>
  events.findIndex(({ event, data }) => event === type && (taskId === undefined || data.data.taskId === taskId))
const placesOfDeltas = (events: StreamedEvent[], taskId: string | null) =>
  events.flatMap((event, place) => (isDelta(event) && event.data.taskId === taskId ? [place] : []))

test('what a model says can be followed piece by piece, each between the start and the end of its step', async () => {
  const model = await openAiServer(() => ({ text: WORDS, chunkDelayMs: 10 }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: TWO })

  const events = await acme.events(started.id, undefined, undefined, WITH_DELTAS)

  for (const taskId of ['1', '2']) {
    const { text, pieces } = heard(events, taskId)
    expect(text).toBe(WORDS)
    expect(pieces).toBeGreaterThan(2)
    const places = placesOfDeltas(events, taskId)
    expect(Math.min(...places)).toBeGreaterThan(placeOf(events, 'execution:task_started', taskId))
    expect(Math.max(...places)).toBeLessThan(placeOf(events, 'execution:task_completed', taskId))
  }
  expect(heard(events, null).text).toBe(WORDS)
  const synthesis = placesOfDeltas(events, null)
  expect(Math.min(...synthesis)).toBeGreaterThan(placeOf(events, 'execution:synthesis_started'))
  expect(Math.max(...synthesis)).toBeLessThan(placeOf(events, 'execution:synthesis_completed'))
})

test('deltas have no id and are no part of the log', async () => {
  const model = await openAiServer(() => ({ text: WORDS, chunkDelayMs: 2 }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: TWO })

  const [withDeltas, without] = await Promise.all([
    acme.events(started.id, undefined, undefined, WITH_DELTAS),
    acme.events(started.id),
  ])

  expect(withDeltas.filter(isDelta).length).toBeGreaterThan(0)
  expect(withDeltas.filter(isDelta).every(({ id }) => id === 0)).toBe(true)
  expect(without.filter(isDelta)).toEqual([])
  expect(withDeltas.filter((event) => !isDelta(event))).toEqual(without)
  const { body: page } = await acme.get(`/executions/${started.id}/events`, { accept: 'application/json' })
  expect(page.data).toEqual(without.map(({ data }) => data))
})

test('who comes late, and who comes back, is told in one piece what was said so far', async () => {
  const model = await openAiServer((call) => ({ text: WORDS, chunkDelayMs: isStep('2')(call) ? 20 : 0 }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: TWO })
  const early = acme.events(started.id, undefined, undefined, WITH_DELTAS)
  await expect.poll(() => model.calls.length).toBe(2)
  await sleep(300) // about a third of the second answer has been said

  const [late, back] = await Promise.all([
    acme.events(started.id, undefined, undefined, WITH_DELTAS),
    acme.events(started.id, 4, undefined, WITH_DELTAS),
  ])

  for (const events of [await early, late, back]) expect(heard(events, '2').text).toBe(WORDS)
  expect(heard(late, '1')).toEqual({ text: WORDS, pieces: 1 }) // it had ended a moment before
  expect(heard(late, '2').pieces).toBeLessThan(heard(await early, '2').pieces)
  const [first] = late.filter(({ event, data }) => event === 'execution:delta' && data.taskId === '2')
  expect(first?.data.text.split(' ').length).toBeGreaterThan(3)
})

test('a reader that does not read for a while takes in one piece what it has missed, and costs no more', async () => {
  const model = await openAiServer((call) => (call.task === 'synthesis' ? 'done' : { text: WORDS, chunkDelayMs: 10 }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: planOf([{ id: '1' }]) })
  const response = await acme.raw(`/api/v2/executions/${started.id}/events${WITH_DELTAS}`)
  await expect.poll(async () => (await acme.get(`/executions/${started.id}`)).body.status).toBe('completed')

  const events = await allEvents(response)

  const { text, pieces } = heard(events, '1')
  expect(text).toBe(WORDS)
  expect(pieces).toBeLessThanOrEqual(2)
  expect(events.at(-1)?.event).toBe('execution:completed')
})

test('another attempt begins anew', async () => {
  let attempts = 0
  const model = await openAiServer((call) => {
    if (!isStep('1')(call)) return 'done'
    attempts += 1
    return attempts === 1 ? { text: WORDS, chunkDelayMs: 20, cutAfterChunks: 10 } : { text: 'second', delayMs: 100 }
  })
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: planOf([{ id: '1' }]) })

  const events = await acme.events(started.id, undefined, undefined, WITH_DELTAS)

  expect(attempts).toBe(2)
  expect(heard(events, '1').text).toBe('second')
  const told = events.filter(isDelta).map(({ data }) => ExecutionDelta.parse(data))
  const byAttempt = [1, 2].map((attempt) =>
    told.filter((delta) => delta.attempt === attempt && delta.taskId === '1').map(({ text }) => text),
  )
  expect(WORDS.startsWith((byAttempt[0] ?? []).join(''))).toBe(true)
  expect(byAttempt[0]?.join('').length).toBeGreaterThan(0)
  expect(byAttempt[1]).toEqual(['second'])
})

test('another tenant hears nothing', async () => {
  const model = await openAiServer(() => ({ text: WORDS, chunkDelayMs: 10 }))
  const api = await startApi({ env: model.env })
  const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
  const { body: started } = await acme.post('/dags/execute-definition', { definition: TWO })
  expect((await globex.get(`/executions/${started.id}/events${WITH_DELTAS}`)).status).toBe(404)
})

describe('what one reader has been told', () => {
  const ID = '5d5f4a52-5f4c-4d3e-8a53-0a4dd8a54b9c'
  const NOTHING: LogPiece = { events: [], messages: [], text: '', last: 0, isNewest: true, isEnd: false }
  const at = { executionId: ID, ts: '2026-03-01T12:00:00.000Z' }
  const ended = (seq: number, taskId: string): LogPiece['events'][number] => ({
    ...at,
    seq,
    type: 'execution:task_completed',
    data: { taskId, durationMs: 1 },
  })
  const piece = (events: LogPiece['events'][number][], more: Partial<LogPiece> = {}): LogPiece => {
    const messages = events.map(({ seq }) => `<${seq}>`)
    return { ...NOTHING, events, messages, text: messages.join(''), last: events.at(-1)?.seq ?? 0, ...more }
  }
  const reader = () => {
    const answers = new LiveAnswers(localWake())
    return { answers, told: new ToldDeltas(ID, answers) }
  }
  const texts = (text: string) => [...text.matchAll(/"text":"([^"]*)"/g)].map((found) => found[1])

  test('is each character once', () => {
    const { answers, told } = reader()
    const speaker = answers.begin(ID, '1', 1)
    const pieces: string[] = []
    for (const word of ['a', '', 'b', 'c']) {
      speaker.say(word)
      pieces.push(told.weave(NOTHING, told.speaking()).text)
    }
    expect(pieces.flatMap(texts)).toEqual(['a', 'b', 'c'])
    expect(pieces[1]).toBe('')
  })

  test('is all of an answer before the event that ends it, and nothing of one that began behind it', () => {
    const { answers, told } = reader()
    const one = answers.begin(ID, '1', 1)
    one.say('first')
    const speaking = told.speaking()
    one.say(' word')
    one.end()
    answers.begin(ID, '2', 1).say('too early') // begun after the log was read
    const { text } = told.weave(piece([ended(1, '1')]), speaking)
    expect(texts(text)).toEqual(['first word'])
    expect(text.indexOf('first word')).toBeLessThan(text.indexOf('<1>'))
  })

  test('waits behind the log of one that has to catch up', () => {
    const { answers, told } = reader()
    answers.begin(ID, '2', 1).say('now')
    expect(texts(told.weave(piece([ended(1, '1')], { isNewest: false }), told.speaking()).text)).toEqual([])
    expect(texts(told.weave(piece([ended(2, '1')]), told.speaking()).text)).toEqual(['now'])
  })

  test('is all that was said before the end of everything', () => {
    const { answers, told } = reader()
    answers.begin(ID, '1', 1).say('cut sh')
    const cancelled = { ...at, seq: 1, type: 'execution:cancelled' as const, data: {} }
    const { text, isEnd } = told.weave(piece([cancelled], { isEnd: true }), told.speaking())
    expect(text.indexOf('cut sh')).toBeLessThan(text.indexOf('<1>'))
    expect(texts(text)).toEqual(['cut sh'])
    expect(isEnd).toBe(true)
  })

  test('comes in pieces that end, and the log waits for them', () => {
    const { answers, told } = reader()
    for (const taskId of ['1', '2', '3']) {
      const speaker = answers.begin(ID, taskId, 1)
      speaker.say(taskId.repeat(FULL_PIECE))
      speaker.end()
    }
    let [last, told3] = [0, '']
    const log = ['1', '2', '3'].map((taskId, index) => ended(index + 1, taskId))
    for (let telling = 0; telling < 4 && last < 3; telling += 1) {
      const next = told.weave(piece(log.slice(last)), [])
      expect(next.text.length).toBeLessThan(2 * FULL_PIECE)
      last = next.last
      told3 += next.text.replaceAll(/event[\s\S]*?"text":"(.)[^"]*"\}\n\n/g, '[$1]')
    }
    expect(told3).toBe('[1]<1>[2]<2>[3]<3>')
  })
})
