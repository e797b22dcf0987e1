/** biome-ignore lint/suspicious/noExplicitAny: tests look into events of every type */
type Data = any

export interface StreamedEvent {
  /** 0: it had none, as deltas. */
  id: number
  event: string
  data: Data
}

/** The events of a text/event-stream answer, as a browser would read them; comments are left out. */
export async function* readEvents(response: Response): AsyncGenerator<StreamedEvent> {
  if (!response.body) return
  let rest = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + chunk).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
      )
      if (fields.event)
        yield { id: Number(fields.id ?? 0), event: fields.event, data: JSON.parse(fields.data ?? 'null') }
    }
  }
}

/** @param into  gets each event as it comes */
export async function allEvents(response: Response, into: StreamedEvent[] = []): Promise<StreamedEvent[]> {
  for await (const event of readEvents(response)) into.push(event)
  return into
}
