import { isRefusal, ProductError } from '#kit/errors.ts'
import { addMilliseconds } from '#kit/time.ts'
import type { Dag, NewDag } from '../dag.ts'
import type { dagsOf } from '../dags.ts'
import type { ExperimentSummary, Trial, TrialEnd } from '../experiment.ts'
import type { DesiAgentParts } from '../parts.ts'
import { deleteUnusedDag, findDag } from '../store/dags.ts'
import * as store from '../store/experiments.ts'
import { renewLease } from '../store/leases.ts'
import { endOf, failed, failedUnexpectedly } from './trial-end.ts'

/** Trials of one experiment that are planned at once. */
const TRIALS_AT_ONCE = 4

/** One experiment while this process holds its lease. */
export class ExperimentRun {
  readonly #parts: DesiAgentParts
  readonly #dags: ReturnType<typeof dagsOf>
  readonly #experiment: ExperimentSummary
  readonly #waiting: Trial[]
  #isRefused = false
  #isLeaseLost = false

  constructor(parts: DesiAgentParts, dags: ReturnType<typeof dagsOf>, experiment: store.FoundExperiment) {
    this.#parts = parts
    this.#dags = dags
    this.#experiment = experiment
    this.#waiting = experiment.trials.filter(({ status }) => status === 'pending')
  }

  /** A quota is used up or the tenant suspended: what waits has to wait for a person. */
  get isRefused(): boolean {
    return this.#isRefused
  }

  /** Plans what waits, some at once. Resolves when nothing more may begin and what began has ended. */
  async drive(): Promise<void> {
    const renewal = setInterval(() => this.#renew(), this.#parts.shared.settings.leaseMs / 3)
    const workers = await Promise.allSettled(Array.from({ length: TRIALS_AT_ONCE }, () => this.#work()))
    clearInterval(renewal)
    const broken = workers.find(({ status }) => status === 'rejected')
    if (broken) throw (broken as PromiseRejectedResult).reason
  }

  async #work(): Promise<void> {
    for (let trial = this.#next(); trial; trial = this.#next()) await this.#plan(trial)
  }

  #next(): Trial | undefined {
    const isOver = this.#isRefused || this.#isLeaseLost || this.#parts.shared.running.isDraining
    return isOver ? undefined : this.#waiting.shift()
  }

  async #plan(trial: Trial): Promise<void> {
    const { db, shared } = this.#parts
    const dagId = shared.newId()
    const begun = { experimentId: this.#experiment.id, position: trial.position, dagId }
    if (!(await store.beginTrial(db, begun, shared.running.owner))) return
    const end = (tx: typeof db, how: TrialEnd) => store.endTrial(tx, begun, how, shared.now().toISOString())
    try {
      const dag = await this.#dags.create(
        this.#goalOf(trial),
        async (tx) => end(tx, endOf((await findDag(tx, dagId)) as Dag)),
        dagId,
      )
      // Out of reach: planning has ended, without an answer.
      if (dag.status === 'failed') await end(db, endOf(dag))
    } catch (error) {
      if (!isRefusal(error)) return end(db, await this.#endByError(error, dagId))
      this.#isRefused = true
      await store.putBackTrial(db, begun)
      await this.#dropUnasked(dagId)
    }
  }

  /** It may be refused once a minute for a month: a DAG that no planner was asked about would be left each time. */
  async #dropUnasked(dagId: string): Promise<void> {
    const { db } = this.#parts
    const dag = await findDag(db, dagId)
    if (dag?.planningAttempts.length === 0) await deleteUnusedDag(db, dagId)
  }

  #goalOf({ model, temperature }: Trial): NewDag {
    const { goalText, createdBy, agentName, provider, seed } = this.#experiment
    return {
      goalText,
      createdBy,
      agentName: agentName ?? undefined,
      provider: provider ?? undefined,
      model,
      temperature,
      seed: seed ?? undefined,
    }
  }

  async #endByError(error: unknown, dagId: string): Promise<TrialEnd> {
    const { db, shared, tenantId } = this.#parts
    const dag = await findDag(db, dagId)
    if (error instanceof ProductError) return failed(dag, { code: error.code, message: error.message })
    shared.log.error({ err: error, tenantId, dagId }, 'a trial of an experiment could not be planned')
    return failedUnexpectedly(dag)
  }

  #renew(): void {
    const { db, shared } = this.#parts
    const { id } = this.#experiment
    const until = addMilliseconds(shared.now(), shared.settings.leaseMs).toISOString()
    renewLease(db, 'experiments', id, shared.running.owner, until).then(
      (isOurs) => {
        this.#isLeaseLost = !isOurs
      },
      (error: unknown) => shared.log.warn({ err: error, experimentId: id }, 'could not renew a lease'),
    )
  }
}
