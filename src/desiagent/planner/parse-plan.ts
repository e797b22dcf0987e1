/**
 * The JSON object in a model's answer, with or without a Markdown fence or words around it.
 *
 * @returns undefined when there is none
 */
export function parsePlan(text: string): unknown {
  return tryParse(text) ?? tryParse(betweenBraces(text))
}

function betweenBraces(text: string): string {
  return text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)
}

function tryParse(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}
