import { isResultsMessage, readResults } from './prompt-parts.ts'
import { clausesOf } from './reading/clauses.ts'
import { type Job, jobsOf } from './reading/jobs.ts'
import { hasTaggedMaterial, separateMaterial } from './reading/material.ts'
import { cannot, signed } from './signature.ts'
import { labelOf, type Source, textOfResult } from './sources.ts'
import { workOn } from './work.ts'

/** Carries out a prompt on the results it builds on, or else on the text it brings along. */
export function answer(messages: readonly string[]): string {
  const [prompt = '', ...others] = messages
  const results = others.filter(isResultsMessage).flatMap(readResults)
  const given = results.map((result) => ({ label: labelOf(result.description), text: textOfResult(result.text) }))
  const { instruction, material } = separateMaterial(prompt, [])
  const isTold = material !== null && (given.length === 0 || hasTaggedMaterial(prompt))
  const sources = isTold ? [...given, { label: 'The given text', text: material }] : given
  const jobs = jobsOfPrompt(isTold ? instruction : prompt)
  return signed(sources.length === 0 ? withoutText(jobs, instruction) : withText(jobs, sources))
}

function jobsOfPrompt(instruction: string): Job[] {
  const jobs = clausesOf(instruction, []).flatMap((clause) => jobsOf(clause))
  const distinct = [...new Map(jobs.map((job) => [JSON.stringify(job), job])).values()]
  return distinct.length > 0 ? distinct : [{ kind: 'cannot', what: 'tell what this asks for, beyond its words' }]
}

function withText(jobs: readonly Job[], sources: readonly Source[]): string {
  if (sources.every(({ text }) => text.trim() === '')) return 'The text I was given is empty.'
  return jobs.map((job) => workOn(job, sources)).join('\n\n')
}

/** Says what is missing or cannot be done, then what the request holds: its own words and no fact. */
function withoutText(jobs: readonly Job[], instruction: string): string {
  const parts = clausesOf(instruction, [])
  const list = parts.length === 0 ? ['- (no words)'] : parts.map((part) => `- ${part}`)
  return `${cannot(whatIsBeyond(jobs))}\n\nThe request asks, in its own words:\n\n${list.join('\n')}`
}

function whatIsBeyond(jobs: readonly Job[]): string {
  const beyond = jobs.map((job) => {
    if (job.kind === 'cannot') return job.what
    return job.kind === 'ask' || job.kind === 'topic'
      ? 'answer from knowledge'
      : 'work on a text here, because I was given none'
  })
  return [...new Set(beyond)].join(', or ')
}
