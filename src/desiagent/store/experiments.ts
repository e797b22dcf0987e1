import type { ExpressionBuilder, Selectable } from 'kysely'
import { insertMany } from '#kit/db/insert-many.ts'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import type { ExperimentsTable, ExperimentTrialsTable, TenantDb, TenantTables } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import type {
  ExperimentFilter,
  ExperimentStatus,
  ExperimentSummary,
  Trial,
  TrialEnd,
  TrialStatus,
} from '../experiment.ts'
import { readJson, writeJson } from './json.ts'

/** Two tables: run it in a transaction. */
export async function insertExperiment(
  tx: TenantDb,
  experiment: ExperimentSummary,
  trials: readonly Trial[],
): Promise<void> {
  await tx
    .insertInto('experiments')
    .values({
      id: experiment.id,
      status: experiment.status,
      goal_text: experiment.goalText,
      agent_name: experiment.agentName,
      provider: experiment.provider,
      seed: experiment.seed,
      created_by: experiment.createdBy,
      completed_at: experiment.completedAt,
      created_at: experiment.createdAt,
      updated_at: experiment.updatedAt,
    })
    .execute()
  await insertMany(
    tx,
    'experiment_trials',
    trials.map(({ position, model, temperature, status }) => ({
      experiment_id: experiment.id,
      position,
      model,
      temperature,
      status,
    })),
  )
}

export async function listExperiments(
  db: TenantDb,
  filter: ExperimentFilter,
  page: PageRequest,
): Promise<Page<ExperimentSummary>> {
  let query = db.selectFrom('experiments').selectAll().select(counts)
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  if (filter.createdFrom !== undefined) query = query.where('created_at', '>=', filter.createdFrom)
  if (filter.createdBefore !== undefined) query = query.where('created_at', '<', filter.createdBefore)
  const found = await fetchPage(query, page)
  return { ...found, rows: found.rows.map(toSummary) }
}

/** Its trials in the order asked for. */
export type FoundExperiment = ExperimentSummary & { trials: Trial[] }

export async function findExperiment(db: TenantDb, id: string): Promise<FoundExperiment | null> {
  const row = await db.selectFrom('experiments').selectAll().select(counts).where('id', '=', id).executeTakeFirst()
  if (!row) return null
  const trials = await db
    .selectFrom('experiment_trials')
    .selectAll()
    .where('experiment_id', '=', id)
    .orderBy('position')
    .execute()
  return { ...toSummary(row), trials: trials.map(toTrial) }
}

/** A trial that is planned as this DAG. Who began it again began another. */
export interface BegunTrial {
  experimentId: string
  position: number
  dagId: string
}

/** @returns false when somebody else has begun it, or has the experiment's lease */
export async function beginTrial(
  db: TenantDb,
  { experimentId, position, dagId }: BegunTrial,
  leaseOwner: string,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('experiment_trials')
    .set({ status: 'running', dag_id: dagId })
    .where('experiment_id', '=', experimentId)
    .where('position', '=', position)
    .where('status', '=', 'pending')
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('experiments').select('id').where('id', '=', experimentId).where('lease_owner', '=', leaseOwner),
      ),
    )
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** Lets a running trial wait again, as if it had not been begun. Its DAG, if there is one, stays by itself. */
export async function putBackTrial(db: TenantDb, { experimentId, position, dagId }: BegunTrial): Promise<void> {
  await db
    .updateTable('experiment_trials')
    .set({ status: 'pending', dag_id: null })
    .where('experiment_id', '=', experimentId)
    .where('position', '=', position)
    .where('dag_id', '=', dagId)
    .where('status', '=', 'running')
    .execute()
}

/** Ends a running trial; one that has ended or was begun again stays as it is. */
export async function endTrial(
  db: TenantDb,
  { experimentId, position, dagId }: BegunTrial,
  end: TrialEnd,
  at: string,
): Promise<void> {
  await transaction(db, async (tx) => {
    const { numUpdatedRows } = await tx
      .updateTable('experiment_trials')
      .set({
        status: end.status,
        dag_id: end.dagId,
        error: writeJson(end.error),
        task_count: end.taskCount,
        prompt_tokens: end.usage.promptTokens,
        completion_tokens: end.usage.completionTokens,
        cached_tokens: end.usage.cachedTokens,
        cost_usd_micros: end.costUsdMicros,
        duration_ms: end.durationMs,
      })
      .where('experiment_id', '=', experimentId)
      .where('position', '=', position)
      .where('dag_id', '=', dagId)
      .where('status', '=', 'running')
      .executeTakeFirstOrThrow()
    if (numUpdatedRows === 0n) return
    await tx.updateTable('experiments').set({ updated_at: at }).where('id', '=', experimentId).execute()
  })
}

/** Completes an experiment whose trials have all ended. @returns false when some have not */
export async function completeExperiment(db: TenantDb, id: string, at: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('experiments')
    .set((eb) => ({ status: 'completed', completed_at: eb.fn.coalesce('completed_at', eb.val(at)), updated_at: at }))
    .where('id', '=', id)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('experiment_trials')
            .select('position')
            .where('experiment_id', '=', id)
            .where('status', 'in', ['pending', 'running']),
        ),
      ),
    )
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

function counts(eb: ExpressionBuilder<TenantTables, 'experiments'>) {
  const trials = eb.selectFrom('experiment_trials').whereRef('experiment_id', '=', 'experiments.id')
  const total = trials.select(eb.fn.countAll().as('total'))
  const ended = trials
    .where('experiment_trials.status', 'not in', ['pending', 'running'])
    .select(eb.fn.countAll().as('ended'))
  return [total.as('total_trials'), ended.as('ended_trials')] as const
}

function toSummary(
  row: Selectable<ExperimentsTable> & { total_trials: unknown; ended_trials: unknown },
): ExperimentSummary {
  return {
    id: row.id,
    status: row.status as ExperimentStatus,
    goalText: row.goal_text,
    agentName: row.agent_name,
    provider: row.provider,
    seed: row.seed,
    totalTrials: Number(row.total_trials),
    endedTrials: Number(row.ended_trials),
    createdBy: row.created_by,
    completedAt: row.completed_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

function toTrial(row: Selectable<ExperimentTrialsTable>): Trial {
  return {
    position: row.position,
    model: row.model,
    temperature: row.temperature,
    status: row.status as TrialStatus,
    dagId: row.dag_id,
    error: readJson<Trial['error']>(row.error),
    taskCount: row.task_count,
    usage: {
      promptTokens: row.prompt_tokens,
      completionTokens: row.completion_tokens,
      totalTokens: row.prompt_tokens + row.completion_tokens,
      cachedTokens: row.cached_tokens,
    },
    costUsdMicros: row.cost_usd_micros,
    durationMs: row.duration_ms,
  }
}
