import type { Selectable, Updateable } from 'kysely'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import { prepared } from '#kit/db/prepared.ts'
import { foundBy, putSearchWords, removeSearchWords } from '#kit/db/search.ts'
import type { AgentsTable, TenantDb, TenantTables } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { Agent, AgentConstraints, AgentFilter, AgentPatch } from '../agents.ts'
import { readJson, writeJson } from './json.ts'

type AgentRow = Selectable<AgentsTable>

const byId = prepared<TenantTables, { id: string }, AgentRow>((db, { id }) =>
  db.selectFrom('agents').selectAll().where('id', '=', id),
)

export async function findAgent(db: TenantDb, id: string): Promise<Agent | null> {
  const [row] = await byId(db, { id })
  return row ? toAgent(row) : null
}

export async function findActiveAgent(db: TenantDb, name: string): Promise<Agent | null> {
  const row = await db
    .selectFrom('agents')
    .selectAll()
    .where('name', '=', name)
    .where('is_active', '=', 1)
    .executeTakeFirst()
  return row ? toAgent(row) : null
}

export async function listActiveAgents(db: TenantDb): Promise<{ name: string; description: string | null }[]> {
  return db.selectFrom('agents').select(['name', 'description']).where('is_active', '=', 1).orderBy('name').execute()
}

/** What the active agents are asked with. */
export async function listActiveChoices(
  db: TenantDb,
): Promise<{ name: string; provider: string | null; model: string | null }[]> {
  return db.selectFrom('agents').select(['name', 'provider', 'model']).where('is_active', '=', 1).execute()
}

export async function listAgents(db: TenantDb, filter: AgentFilter, page: PageRequest): Promise<Page<Agent>> {
  let query = db.selectFrom('agents').selectAll()
  if (filter.name !== undefined) query = query.where('name', '=', filter.name)
  if (filter.isActive !== undefined) query = query.where('is_active', '=', filter.isActive ? 1 : 0)
  if (filter.createdFrom !== undefined) query = query.where('created_at', '>=', filter.createdFrom)
  if (filter.createdBefore !== undefined) query = query.where('created_at', '<', filter.createdBefore)
  if (filter.search !== undefined) query = query.where(await foundBy(db, 'agent', 'agents.id', filter.search))
  const found = await fetchPage(query, page)
  return { ...found, rows: found.rows.map(toAgent) }
}

/** Two tables: run it in a transaction. */
export async function insertAgent(tx: TenantDb, agent: Agent): Promise<void> {
  await tx
    .insertInto('agents')
    .values({
      id: agent.id,
      name: agent.name,
      version: agent.version,
      description: agent.description,
      system_prompt: agent.systemPrompt,
      provider: agent.provider,
      model: agent.model,
      is_active: agent.isActive ? 1 : 0,
      allowed_tools: writeJson(agent.allowedTools),
      constraints: writeJson(agent.constraints),
      metadata: JSON.stringify(agent.metadata),
      created_at: agent.createdAt,
      updated_at: agent.updatedAt,
    })
    .execute()
  await putSearchWords(tx, 'agent', agent.id, [agent.name, agent.description ?? ''])
}

/** @returns false when there is no such agent */
export async function updateAgent(db: TenantDb, id: string, patch: AgentPatch, updatedAt: string): Promise<boolean> {
  return transaction(db, async (tx) => {
    const row = await tx
      .updateTable('agents')
      .set({ ...toColumns(patch), updated_at: updatedAt })
      .where('id', '=', id)
      .returning(['name', 'description'])
      .executeTakeFirst()
    if (row) await putSearchWords(tx, 'agent', id, [row.name, row.description ?? ''])
    return row !== undefined
  })
}

/** Makes this version the active one of its name. Two statements: run it in a transaction. */
export async function activate(tx: TenantDb, agent: Agent, updatedAt: string): Promise<void> {
  await tx
    .updateTable('agents')
    .set({ is_active: 0, updated_at: updatedAt })
    .where('name', '=', agent.name)
    .where('is_active', '=', 1)
    .execute()
  await tx.updateTable('agents').set({ is_active: 1, updated_at: updatedAt }).where('id', '=', agent.id).execute()
}

/** Deletes it unless it is active. One statement: it cannot become active in between. */
export async function deleteInactiveAgent(db: TenantDb, id: string): Promise<boolean> {
  return transaction(db, async (tx) => {
    const { numDeletedRows } = await tx
      .deleteFrom('agents')
      .where('id', '=', id)
      .where('is_active', '=', 0)
      .executeTakeFirstOrThrow()
    if (numDeletedRows === 1n) await removeSearchWords(tx, 'agent', id)
    return numDeletedRows === 1n
  })
}

/** Only the columns whose fields are given. */
function toColumns(fields: AgentPatch): Updateable<AgentsTable> {
  const columns: Updateable<AgentsTable> = {}
  if (fields.name !== undefined) columns.name = fields.name
  if (fields.version !== undefined) columns.version = fields.version
  if (fields.description !== undefined) columns.description = fields.description
  if (fields.systemPrompt !== undefined) columns.system_prompt = fields.systemPrompt
  if (fields.provider !== undefined) columns.provider = fields.provider
  if (fields.model !== undefined) columns.model = fields.model
  if (fields.allowedTools !== undefined) columns.allowed_tools = writeJson(fields.allowedTools)
  if (fields.constraints !== undefined) columns.constraints = writeJson(fields.constraints)
  if (fields.metadata !== undefined) columns.metadata = JSON.stringify(fields.metadata)
  return columns
}

function toAgent(row: AgentRow): Agent {
  return {
    id: row.id,
    name: row.name,
    version: row.version,
    description: row.description,
    systemPrompt: row.system_prompt,
    provider: row.provider,
    model: row.model,
    isActive: row.is_active === 1,
    allowedTools: readJson<string[]>(row.allowed_tools),
    constraints: readJson<AgentConstraints>(row.constraints),
    metadata: readJson<Record<string, unknown>>(row.metadata) ?? {},
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
