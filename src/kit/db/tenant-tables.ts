import type { ColumnType, Generated, Kysely } from 'kysely'

/** The database every tenant owns: everything of that tenant, and nothing of another's. */
export type TenantDb = Kysely<TenantTables>

export interface TenantTables {
  tenant: TenantTable
  users: UsersTable
  api_keys: ApiKeysTable
  idempotency_keys: IdempotencyKeysTable
  agents: AgentsTable
  dags: DagsTable
  dag_inputs: DagInputsTable
  executions: ExecutionsTable
  sub_steps: SubStepsTable
  execution_events: ExecutionEventsTable
  artifacts: ArtifactsTable
  model_calls: ModelCallsTable
  invitations: InvitationsTable
  tool_calls: ToolCallsTable
  schedules: SchedulesTable
  schedule_occurrences: ScheduleOccurrencesTable
  experiments: ExperimentsTable
  experiment_trials: ExperimentTrialsTable
  usage_records: UsageRecordsTable
  usage_totals: UsageTotalsTable
  token_reservations: TokenReservationsTable
  invoices: InvoicesTable
  search_words: SearchWordsTable
}

export interface TenantTable {
  id: string
  name: string
  slug: string
  status: string
  plan: string
  quotas: string
  max_api_key_age_days: Nullable<number>
  updated_at: string
}

/** Null when an insert leaves it out. */
type Nullable<T> = ColumnType<T | null, T | null | undefined, T | null>

/** 0 or 1; SQLite has no booleans. */
export type Flag = 0 | 1

export interface UsersTable {
  id: string
  email: string
  name: string
  role: string
  status: string
  created_at: string
  updated_at: string
  last_login_at: string | null
}

export interface ApiKeysTable {
  id: string
  key_id: string
  user_id: string | null
  name: string
  key_prefix: string
  hash: string
  scopes: string
  is_bootstrap: Generated<number>
  expires_at: string | null
  last_used_at: string | null
  revoked_at: string | null
  created_at: string
  allowed_addresses: string | null
  replaced_by: Nullable<string>
}

export interface IdempotencyKeysTable {
  key: string
  operation: string
  request_hash: string
  claim_id: string
  lease_until: string
  resource_id: string | null
  sealed_secret: Nullable<string>
  sealed_until: Nullable<string>
  created_at: string
}

export interface AgentsTable {
  id: string
  name: string
  version: string
  description: string | null
  system_prompt: string
  provider: string | null
  model: string | null
  is_active: Flag
  allowed_tools: string | null
  constraints: string | null
  metadata: string
  created_at: string
  updated_at: string
}

export interface DagsTable {
  id: string
  title: string
  status: string
  goal_text: string
  agent_name: string | null
  agent_version: string | null
  params: string
  plan: string | null
  clarification_query: string | null
  clarifications: string
  planning_attempts: string
  error: string | null
  created_by: string | null
  created_at: string
  updated_at: string
}

export interface DagInputsTable {
  dag_id: string
  name: string
  content_type: string
  size_bytes: number
  blob_key: string
}

export interface UsageColumns {
  prompt_tokens: number
  completion_tokens: number
  cached_tokens: number
  cost_usd_micros: number
  unpriced_calls: number
}

export interface ExecutionsTable extends UsageColumns {
  id: string
  dag_id: string | null
  dag_title: string
  original_request: string
  primary_intent: string
  synthesis_plan: string
  params: string
  status: string
  total_tasks: number
  completed_tasks: number
  failed_tasks: number
  waiting_tasks: number
  skipped_tasks: number
  final_result: string | null
  synthesis_result: string | null
  suspended_reason: string | null
  suspended_at: string | null
  retry_count: number
  last_retry_at: string | null
  last_event_seq: number
  lease_owner: string | null
  lease_until: string | null
  crash_count: number
  started_at: string | null
  completed_at: string | null
  duration_ms: number | null
  pause_requested_at: string | null
  schedule_id: string | null
  limits: string | null
  ran_ms: Generated<number>
  steps_begun: Generated<number>
  charged_tokens: Generated<number>
  charged_cost_usd_micros: Generated<number>
  reserved_tokens: Generated<number>
  reserved_cost_usd_micros: Generated<number>
  created_by: string | null
  created_at: string
  updated_at: string
}

export interface ToolCallsTable {
  id: string
  execution_id: string
  sub_step_id: string
  attempt: number
  tool_name: string
  arguments: string
  idempotency_key: string
  error_code: string | null
  duration_ms: number
  created_at: string
}

export interface SchedulesTable {
  id: string
  dag_id: string | null
  is_of_dag: Flag
  goal: string | null
  cron_schedule: string
  timezone: string
  is_active: Flag
  overlap_policy: string
  missed_run_policy: string
  max_missed_runs: number
  limits: string | null
  next_run_at: string | null
  last_run_at: string | null
  created_by: string | null
  created_at: string
  updated_at: string
}

export interface ScheduleOccurrencesTable {
  id: string
  schedule_id: string
  scheduled_at: string
  status: string
  reason: string | null
  missed_count: number
  dag_id: string | null
  execution_id: string | null
  attempts: number
  lease_owner: string | null
  lease_until: string | null
  created_at: string
  updated_at: string
}

export interface SubStepsTable extends UsageColumns {
  id: string
  execution_id: string
  task_id: string
  position: number
  wave: number
  description: string
  thought: string
  action_type: string
  tool_or_prompt_name: string
  tool_or_prompt_params: string
  dependencies: string
  status: string
  result: string | null
  error: string | null
  provider: string | null
  model: string | null
  attempt: number
  retry: number
  started_at: string | null
  completed_at: string | null
  duration_ms: number | null
  created_at: string
  updated_at: string
}

export interface ExecutionEventsTable {
  execution_id: string
  seq: number
  type: string
  data: string | null
  error: string | null
  ts: string
}

export interface ArtifactsTable {
  id: string
  execution_id: string
  name: string
  origin: string
  content_type: string
  size_bytes: number
  blob_key: string
  created_at: string
  updated_at: string
}

export interface ModelCallsTable {
  id: string
  purpose: string
  dag_id: string | null
  execution_id: string | null
  sub_step_id: string | null
  attempt: number
  provider: string
  model: string
  prompt_tokens: number
  completion_tokens: number
  cached_tokens: number
  cost_usd_micros: number | null
  price_version: string
  error_code: string | null
  duration_ms: number
  agent_name: string | null
  user_id: string | null
  created_at: string
}

export interface InvitationsTable {
  id: string
  user_id: string
  token_id: string
  token_hash: string
  invited_by: string | null
  expires_at: string
  created_at: string
  accepted_at: Nullable<string>
  api_key_id: Nullable<string>
  sealed_key: Nullable<string>
}

export interface ExperimentsTable {
  id: string
  status: string
  goal_text: string
  agent_name: string | null
  provider: string | null
  seed: number | null
  lease_owner: string | null
  lease_until: string | null
  created_by: string | null
  completed_at: string | null
  created_at: string
  updated_at: string
}

export interface ExperimentTrialsTable {
  experiment_id: string
  position: number
  model: string
  temperature: number
  status: string
  dag_id: string | null
  error: string | null
  task_count: number | null
  prompt_tokens: Generated<number>
  completion_tokens: Generated<number>
  cached_tokens: Generated<number>
  cost_usd_micros: number | null
  duration_ms: number | null
}

export interface UsageRecordsTable {
  id: string
  resource_type: string
  quantity: number
  /** pico-USD per unit. */
  unit_cost: number | null
  price_version: string
  cost_usd_micros: number | null
  provider: string | null
  model: string | null
  agent_name: string | null
  user_id: string | null
  dag_id: string | null
  execution_id: string | null
  sub_step_id: string | null
  created_at: string
}

export interface UsageTotalsTable {
  period: string
  resource_type: string
  provider: string
  model: string
  unit_cost: number
  quantity: number
}

export interface TokenReservationsTable {
  id: string
  tokens: number
  expires_at: string
}

export interface InvoicesTable {
  id: string
  period: string
  status: string
  line_items: string
  total_usd_cents: number
  issued_at: string | null
  paid_at: string | null
  voided_at: string | null
  created_at: string
  updated_at: string
}

export interface SearchWordsTable {
  kind: string
  word: string
  subject_id: string
}
