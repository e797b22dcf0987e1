/** biome-ignore lint/suspicious/noExplicitAny: proofs look into answers of every shape */
type Json = any

export interface Answer {
  status: number
  body: Json
  headers: Headers
}

/** Calls a server over HTTP: paths below /api/v2, JSON in and out. */
export class Caller {
  readonly key: string
  /** Where the server listens now; another place after each restart. */
  readonly #urlOf: () => string

  constructor(urlOf: () => string, key: string) {
    this.#urlOf = urlOf
    this.key = key
  }

  get url(): string {
    return this.#urlOf()
  }

  get = (path: string): Promise<Answer> => this.#call('GET', path)

  post = (path: string, body: object, idempotencyKey?: string): Promise<Answer> =>
    this.#call('POST', path, body, idempotencyKey)

  /** For what must be answered so. @throws when it is answered otherwise */
  async got(path: string): Promise<Json> {
    return expected(200, `GET ${path}`, await this.get(path))
  }

  /** The same for what is begun. */
  async begun(path: string, body: object): Promise<Json> {
    return expected(202, `POST ${path}`, await this.post(path, body))
  }

  /** All rows of a list, whatever the number of its pages. */
  async all(path: string): Promise<Json[]> {
    const rows: Json[] = []
    let cursor: string | null = null
    do {
      const separator = path.includes('?') ? '&' : '?'
      const page: Json = await this.got(`${path}${separator}limit=100${cursor === null ? '' : `&cursor=${cursor}`}`)
      rows.push(...page.data)
      cursor = page.pagination.hasMore ? page.pagination.nextCursor : null
    } while (cursor !== null)
    return rows
  }

  /** @throws when nobody answers */
  async #call(method: string, path: string, body?: object, idempotencyKey?: string): Promise<Answer> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.key}`, accept: 'application/json' }
    if (body) headers['content-type'] = 'application/json'
    if (idempotencyKey) headers['idempotency-key'] = idempotencyKey
    const init = { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) }
    const response = await fetch(`${this.url}/api/v2${path}`, init)
    const text = await response.text()
    return { status: response.status, body: text === '' ? null : JSON.parse(text), headers: response.headers }
  }
}

function expected(status: number, what: string, answer: Answer): Json {
  if (answer.status === status) return answer.body
  throw new Error(`${what} answered ${answer.status}: ${JSON.stringify(answer.body)}`)
}
