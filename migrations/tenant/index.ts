import * as identity from './0001_identity.ts'
import * as agents from './0002_agents.ts'
import * as dags from './0003_dags.ts'
import * as executions from './0004_executions.ts'

export const tenantMigrations = {
  '0001_identity': identity,
  '0002_agents': agents,
  '0003_dags': dags,
  '0004_executions': executions,
}
