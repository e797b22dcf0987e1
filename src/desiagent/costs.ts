import { transaction } from '#kit/db/transaction.ts'
import { type DagCost, readDagCost } from './costs/of-dag.ts'
import { type ExecutionCost, readExecutionCost } from './costs/of-execution.ts'
import { type CostRange, type CostSummary, readSummary } from './costs/summary.ts'
import type { DesiAgentParts } from './parts.ts'

export type { DagCost } from './costs/of-dag.ts'
export type { ExecutionCost } from './costs/of-execution.ts'
export { spentOn } from './costs/spent.ts'
export type { CostGrouping, CostRange, CostSummary } from './costs/summary.ts'

/**
 * What model calls cost, read off the ledger. Each answer is how things were at one moment, so that its parts add up to
 * its totals while work goes on.
 */
export function costsOf({ db }: DesiAgentParts) {
  return {
    /** What planning and running it cost, by attempt and by step. @throws ExecutionNotFound */
    execution: (id: string): Promise<ExecutionCost> => transaction(db, (tx) => readExecutionCost(tx, id)),

    /** What planning it and all its executions cost, deleted ones included. @throws DagNotFound */
    dag: (id: string): Promise<DagCost> => transaction(db, (tx) => readDagCost(tx, id)),

    /** What all calls that began in a range cost, deleted executions and DAGs included. */
    summary: (range: CostRange): Promise<CostSummary> => transaction(db, (tx) => readSummary(tx, range)),
  }
}
