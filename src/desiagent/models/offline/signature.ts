/** Stands at the end of every answer, so that nobody takes extraction for a language model's work. */
export const SIGNATURE = '— offline model (extraction, no language model)'

export function signed(markdown: string): string {
  return `${withoutSignature(markdown).trim()}\n\n${SIGNATURE}`
}

/** An earlier answer is material for the next one; its signature is not. */
export function withoutSignature(text: string): string {
  if (!text.includes(SIGNATURE)) return text
  const lines = text.split('\n').filter((line) => line.trim() !== SIGNATURE)
  return lines.join('\n').trim()
}

/** What a person should know when the request is beyond extraction. */
export function cannot(what: string): string {
  return (
    `I am the offline model: I work on the text I am given, by extraction. I cannot ${what}. ` +
    'Configure a provider key to have a language model do this.'
  )
}
