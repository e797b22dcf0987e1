import type { ExecutionEvent } from '#desiagent/events.ts'
import type { DecomposerJob } from '#desiagent/planner/decomposer-job.ts'
import type { Screen } from './screen.ts'
import { clip, duration, listed, plural, sentence } from './words.ts'

interface Line {
  mark: string
  text: string
  style: 'green' | 'red' | 'yellow' | 'cyan' | 'dim'
}

/** Shows an execution's events as they come: what has ended as lines, what is running as the status line if there is one. */
export class Progress {
  readonly #screen: Screen
  readonly #descriptions: ReadonlyMap<string, string>
  readonly #running = new Set<string>()
  #ended = 0
  readonly #total: number
  #isSynthesising = false

  constructor(screen: Screen, { sub_tasks: tasks }: DecomposerJob) {
    this.#screen = screen
    this.#descriptions = new Map(tasks.map(({ id, description }) => [id, description]))
    this.#total = tasks.length
  }

  begin(): void {
    this.#screen.busy(() => this.#status())
  }

  end(): void {
    this.#screen.rest()
  }

  show(event: ExecutionEvent): void {
    this.#remember(event)
    const line = this.#lineOf(event)
    if (line) this.#screen.print(`  ${this.#screen.paint(line.style, line.mark)} ${line.text}`)
  }

  #remember(event: ExecutionEvent): void {
    if (event.type === 'execution:synthesis_started') this.#isSynthesising = true
    if (event.type === 'execution:synthesis_completed') this.#isSynthesising = false
    if (event.type === 'execution:task_started') this.#running.add(event.data.taskId)
    if (event.type === 'execution:task_completed' || event.type === 'execution:task_failed') {
      this.#running.delete(event.data.taskId)
      this.#ended += 1
    }
    if (event.type === 'execution:task_skipped') this.#ended += 1
  }

  #lineOf(event: ExecutionEvent): Line | null {
    switch (event.type) {
      case 'execution:resumed':
        return { mark: '▸', text: 'The execution goes on where it was.', style: 'cyan' }
      case 'execution:wave_started':
        if (!event.data.parallel) return null
        return { mark: '⇉', text: `${listed(event.data.taskIds)} at the same time`, style: 'dim' }
      case 'execution:task_started':
        return this.#started(this.#named(event.data.taskId))
      case 'execution:task_progress':
        return { mark: '↻', text: `${event.data.taskId}  ${sentence(event.data.message)}`, style: 'yellow' }
      case 'execution:task_completed':
        return this.#ending('✓', event.data.taskId, duration(event.data.durationMs), 'green')
      case 'execution:task_failed':
        return this.#ending('✗', event.data.taskId, `failed: ${sentence(event.error.message)}`, 'red')
      case 'execution:task_skipped':
        return this.#ending('–', event.data.taskId, `skipped: ${sentence(event.data.reason)}`, 'yellow')
      case 'execution:synthesis_started':
        return this.#started('Putting the answer together')
      case 'execution:synthesis_completed':
        return { mark: '✓', text: `The answer is put together · ${duration(event.data.durationMs)}`, style: 'green' }
      case 'execution:suspended':
        return { mark: '✗', text: `Suspended: ${sentence(event.error.message)}`, style: 'yellow' }
      case 'execution:cancelled':
        return { mark: '✗', text: 'Cancelled.', style: 'red' }
      case 'execution:completed':
        return this.#summary(event.data)
      case 'execution:failed':
        return { mark: '✗', text: `Failed: ${sentence(event.error.message)}`, style: 'red' }
      default:
        return null
    }
  }

  /** On a terminal the status line says what is running. */
  #started(text: string): Line | null {
    return this.#screen.isTerminal ? null : { mark: '▸', text, style: 'cyan' }
  }

  #ending(mark: string, taskId: string, how: string, style: Line['style']): Line {
    return { mark, text: `${this.#named(taskId)} · ${how}`, style }
  }

  #summary({
    status,
    completedTasks,
    durationMs,
  }: {
    status: string
    completedTasks: number
    durationMs: number
  }): Line {
    const took = duration(durationMs)
    if (status === 'completed') return { mark: '✓', text: `All done in ${took}`, style: 'green' }
    return {
      mark: '✗',
      text: `${completedTasks} of ${plural(this.#total, 'task')} done in ${took}`,
      style: 'yellow',
    }
  }

  #named(taskId: string): string {
    const description = this.#descriptions.get(taskId)
    return description ? `${taskId}  ${clip(description, this.#screen.width - 24)}` : taskId
  }

  #status(): string {
    if (this.#isSynthesising) return 'Putting the answer together'
    const running = [...this.#running].map((taskId) => this.#named(taskId)).join(' · ')
    return `${this.#ended} of ${this.#total} done${running && ` · ${running}`}`
  }
}
