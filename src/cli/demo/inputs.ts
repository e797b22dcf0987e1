import { readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { CommandError } from '../command-error.ts'
import { whole } from './words.ts'

export interface Input {
  name: string
  content: string
}

/** What the API takes: characters in one input, and inputs with one goal. */
const MAX_CHARS = 1_000_000
const MAX_INPUTS = 20
const MAX_NAME_CHARS = 200
/** A character is at most four bytes of UTF-8, so a larger file need not be read. */
const MAX_BYTES = 4 * MAX_CHARS

/** Reads the files that go along with the goal. @throws CommandError for the first that cannot */
export async function readInputs(paths: readonly string[]): Promise<Input[]> {
  if (paths.length > MAX_INPUTS) throw new CommandError(`A goal takes at most ${MAX_INPUTS} files.`)
  const inputs: Input[] = []
  for (const path of paths) {
    const content = await readText(path)
    inputs.push({ name: freeName(inputName(path), inputs), content })
  }
  return inputs
}

async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path)
  const text = decoded(bytes)
  if (text === null) throw new CommandError(`The file ${path} is not UTF-8 text.`)
  if (text.length > MAX_CHARS) throw tooLarge(path)
  return text
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    const found = await stat(path)
    if (!found.isFile()) throw new CommandError(`${path} is not a file.`)
    if (found.size > MAX_BYTES) throw tooLarge(path)
    return await readFile(path)
  } catch (error) {
    if (error instanceof CommandError) throw error
    const { code, message } = error as { code?: string; message: string }
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new CommandError(`There is no file ${path}.`)
    if (code === 'EACCES' || code === 'EPERM') throw new CommandError(`The file ${path} may not be read.`)
    throw new CommandError(`The file ${path} cannot be read: ${message}.`)
  }
}

/** Null for what is no text. */
function decoded(bytes: Uint8Array): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return text.includes('\0') ? null : text
  } catch {
    return null
  }
}

function tooLarge(path: string): CommandError {
  return new CommandError(`The file ${path} is too large: at most ${whole(MAX_CHARS)} characters.`)
}

/** The API takes plain names only: nothing invisible, nothing a path or a shell gives a meaning to. */
export function inputName(path: string): string {
  const name = basename(path)
    .normalize('NFKC')
    .slice(0, MAX_NAME_CHARS)
    .replace(/[\p{C}/\\:%*?"<>|]/gu, '-')
    .trim()
  return /^\.*$/.test(name) ? 'input.txt' : name
}

/** Two files of the same name in different folders: the second becomes `notes-2.md`. */
function freeName(name: string, taken: readonly Input[]): string {
  const isTaken = (candidate: string) => taken.some((input) => input.name === candidate)
  const dot = name.lastIndexOf('.') > 0 ? name.lastIndexOf('.') : name.length
  let candidate = name
  for (let number = 2; isTaken(candidate); number += 1) {
    const ending = `-${number}${name.slice(dot)}`
    candidate = name.slice(0, Math.min(dot, MAX_NAME_CHARS - ending.length)) + ending
  }
  return candidate
}
