export interface StreamedEvent {
  id: string
  data: string
}

/** Reads Server-Sent Events (WHATWG HTML §9.2): blocks of `field: value` lines; comments and half a block are dropped. */
export async function* readEventStream(body: AsyncIterable<Uint8Array>): AsyncGenerator<StreamedEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  let id = ''
  let data: string[] = []
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? []
      if (field === 'id') id = value ?? ''
      if (field === 'data') data.push(value ?? '')
      if (line !== '') continue
      if (data.length > 0) yield { id, data: data.join('\n') }
      data = []
    }
  }
}
