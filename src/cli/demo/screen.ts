import { styleText } from 'node:util'
import { clip } from './words.ts'

type Output = NodeJS.WriteStream
type Style = Parameters<typeof styleText>[0]
const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const FRAME_MS = 100
const CLEAR_LINE = '\r\u001b[2K'

/** Where the demo shows things. On a terminal it has colour and a status line; elsewhere it is plain lines. */
export class Screen {
  readonly isTerminal: boolean
  readonly #output: Output
  #timer: NodeJS.Timeout | undefined
  #status: (() => string) | undefined
  #frame = 0

  constructor(output: Output) {
    this.#output = output
    this.isTerminal = output.isTTY === true && process.env.TERM !== 'dumb'
  }

  /** Characters in a line: a terminal's, within what is good to read. */
  get width(): number {
    return Math.min(Math.max(this.#output.columns || 110, 60), 120)
  }

  print(line = ''): void {
    this.#clear()
    this.#output.write(`${line}\n`)
    this.#draw()
  }

  title(text: string): void {
    this.print()
    this.print(this.paint(['bold', 'cyan'], text))
  }

  /** Follows NO_COLOR, FORCE_COLOR and whether the output is a terminal. */
  paint(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#output })
  }

  /** Shows on a terminal that something is going on, below all other lines, until `rest`. */
  busy(status: () => string): void {
    if (!this.isTerminal) return
    this.#status = status
    this.#timer ??= setInterval(() => {
      this.#frame += 1
      this.#clear()
      this.#draw()
    }, FRAME_MS)
    this.#clear()
    this.#draw()
  }

  rest(): void {
    clearInterval(this.#timer)
    this.#clear()
    this.#timer = undefined
    this.#status = undefined
  }

  #clear(): void {
    if (this.#status) this.#output.write(CLEAR_LINE)
  }

  #draw(): void {
    if (!this.#status) return
    const line = clip(`${FRAMES[this.#frame % FRAMES.length]} ${this.#status()}`, (this.#output.columns || 80) - 3)
    this.#output.write(`  ${line}`)
  }
}
