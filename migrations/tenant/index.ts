import * as identity from './0001_identity.ts'
import * as agents from './0002_agents.ts'
import * as dags from './0003_dags.ts'
import * as executions from './0004_executions.ts'
import * as administration from './0005_administration.ts'
import * as schedulesExperiments from './0006_schedules_experiments.ts'
import * as billing from './0007_billing.ts'
import * as search from './0008_search.ts'
import * as durableEngine from './0009_durable_engine.ts'

export const tenantMigrations = {
  '0001_identity': identity,
  '0002_agents': agents,
  '0003_dags': dags,
  '0004_executions': executions,
  '0005_administration': administration,
  '0006_schedules_experiments': schedulesExperiments,
  '0007_billing': billing,
  '0008_search': search,
  '0009_durable_engine': durableEngine,
}
