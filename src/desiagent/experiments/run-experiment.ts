import { isRefusal } from '#kit/errors.ts'
import { addMilliseconds } from '#kit/time.ts'
import type { dagsOf } from '../dags.ts'
import type { Trial } from '../experiment.ts'
import { keepDue } from '../keep-due.ts'
import type { DesiAgentParts } from '../parts.ts'
import { claimExperiment } from '../store/claim-experiment.ts'
import { findDag } from '../store/dags.ts'
import * as store from '../store/experiments.ts'
import { releaseLease } from '../store/leases.ts'
import { ExperimentRun } from './run.ts'
import { endOfLeft } from './trial-end.ts'

/** What waits for a person is looked at so often: a quota that was raised, a tenant that is active again. */
const LOOK_AGAIN_AFTER_MS = 60_000

/**
 * Takes an experiment and plans the trials that wait until all have ended, the process goes down, or whoever embeds us
 * refuses. What is left then stays `running` and due. Safe to call for one that has ended or is run elsewhere.
 *
 * @throws what nobody expected; it stays due then, too
 */
export async function runExperiment(parts: DesiAgentParts, dags: ReturnType<typeof dagsOf>, id: string): Promise<void> {
  const { db, shared } = parts
  if (await isRefused(parts)) return putOff(parts, id, LOOK_AGAIN_AFTER_MS)
  if (!(await claim(parts, id))) return forgetIfOver(parts, id)
  const due = keepDue(parts, 'experiment', id)
  let run: ExperimentRun
  let isComplete: boolean
  try {
    run = new ExperimentRun(parts, dags, await takeOver(parts, id))
    await run.drive()
    isComplete = await store.completeExperiment(db, id, nowIso(parts))
  } finally {
    due.stop()
    await releaseLease(db, 'experiments', id, shared.running.owner)
  }
  if (isComplete) await due.remove()
  else if (run.isRefused) await putOff(parts, id, LOOK_AGAIN_AFTER_MS)
  else if (shared.running.isDraining) await putOff(parts, id, 0) // another process can go on at once
}

/** Asked before anything is touched: a tenant may stay suspended for months, and this is asked again and again. */
async function isRefused({ db, shared }: DesiAgentParts): Promise<boolean> {
  try {
    await shared.metering.admitModelCall(db)
    return false
  } catch (error) {
    if (isRefusal(error)) return true
    throw error
  }
}

/** Whoever looks for due work leaves it alone until then. */
function putOff({ directory, shared }: DesiAgentParts, id: string, byMs: number): Promise<void> {
  return directory.putDueWork('experiment', id, addMilliseconds(shared.now(), byMs).toISOString())
}

function claim({ db, shared }: DesiAgentParts, id: string): Promise<boolean> {
  const { settings, running } = shared
  const now = shared.now()
  const until = addMilliseconds(now, settings.leaseMs).toISOString()
  return claimExperiment(
    db,
    id,
    { owner: running.owner, until, isSoleProcess: settings.isSoleProcess },
    now.toISOString(),
  )
}

/** Ends the trials that whoever had the lease before was planning: it is dead, or it would still have the lease. */
async function takeOver(parts: DesiAgentParts, id: string): Promise<store.FoundExperiment> {
  const { db } = parts
  const experiment = (await store.findExperiment(db, id)) as store.FoundExperiment
  const isLeft = (trial: Trial): trial is Trial & { dagId: string } => trial.status === 'running'
  for (const { position, dagId } of experiment.trials.filter(isLeft)) {
    const left = { experimentId: id, position, dagId }
    await store.endTrial(db, left, endOfLeft(await findDag(db, dagId)), nowIso(parts))
  }
  return experiment
}

/** Clears an index row that leads to nothing more to do: the process died between the end and the clearing. */
async function forgetIfOver({ db, directory }: DesiAgentParts, id: string): Promise<void> {
  const experiment = await store.findExperiment(db, id)
  if (experiment?.status !== 'running') await directory.removeDueWork('experiment', id)
}

function nowIso({ shared }: DesiAgentParts): string {
  return shared.now().toISOString()
}
