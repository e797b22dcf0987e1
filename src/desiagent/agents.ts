import type { CommitWith } from '#kit/context.ts'
import { isUniqueViolation } from '#kit/db/constraint-errors.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { AgentActive, AgentNotFound, AgentVersionTaken, UnknownTools } from './errors.ts'
import type { DesiAgentParts } from './parts.ts'
import { SEEDED_AGENTS } from './seeded-agents.ts'
import * as store from './store/agents.ts'
import { findTool } from './tools/registry.ts'

export interface AgentConstraints {
  maxTokens?: number | undefined
  temperature?: number | undefined
  topP?: number | undefined
  maxSteps?: number | undefined
  timeoutMs?: number | undefined
}

/** What a user says of an agent. */
export interface AgentFields {
  name: string
  version: string
  description: string | null
  systemPrompt: string
  /** Null: the request's or the server's. */
  provider: string | null
  model: string | null
  /** Null: every tool. */
  allowedTools: string[] | null
  constraints: AgentConstraints | null
  metadata: Record<string, unknown>
}

export interface Agent extends AgentFields {
  id: string
  isActive: boolean
  createdAt: string
  updatedAt: string
}

export type AgentPatch = { [K in keyof AgentFields]?: AgentFields[K] | undefined }

export interface AgentFilter {
  name?: string | undefined
  isActive?: boolean | undefined
  /** Words of the name or description. */
  search?: string | undefined
  /** ISO 8601; inclusive. */
  createdFrom?: string | undefined
  /** ISO 8601; exclusive. */
  createdBefore?: string | undefined
}

/** Agents: named prompts in versions, of which one is active. */
export function agentsOf({ db, shared: { now, newId, metering } }: DesiAgentParts) {
  return {
    list: (filter: AgentFilter, page: PageRequest): Promise<Page<Agent>> => store.listAgents(db, filter, page),

    /** @throws AgentNotFound */
    async get(id: string): Promise<Agent> {
      const agent = await store.findAgent(db, id)
      if (!agent) throw new AgentNotFound()
      return agent
    },

    /** The active version of this name. @throws AgentNotFound */
    resolve: (name: string): Promise<Agent> => resolveAgent(db, name),

    /**
     * Creates a version, inactive.
     *
     * @throws AgentVersionTaken, UnknownTools, QuotaExceeded
     */
    async create(fields: AgentFields, commitWith: CommitWith = async () => {}): Promise<Agent> {
      assertToolsExist(fields.allowedTools)
      const at = now().toISOString()
      const agent: Agent = { ...fields, id: newId(), isActive: false, createdAt: at, updatedAt: at }
      await orVersionTaken(fields.name, fields.version, () =>
        transaction(db, async (tx) => {
          await metering.admitAgent(tx)
          await store.insertAgent(tx, agent)
          await commitWith(tx, agent.id)
        }),
      )
      return agent
    },

    /** @throws AgentNotFound, AgentVersionTaken, UnknownTools, AgentActive when an active version would lose its name */
    async update(id: string, patch: AgentPatch): Promise<Agent> {
      assertToolsExist(patch.allowedTools ?? null)
      const before = await this.get(id)
      const { name = before.name, version = before.version } = patch
      if (before.isActive && name !== before.name) throw new AgentActive()
      await orVersionTaken(name, version, () => store.updateAgent(db, id, patch, now().toISOString()))
      return this.get(id)
    },

    /** Makes this version the one its name stands for. @throws AgentNotFound */
    async activate(id: string): Promise<Agent> {
      await transaction(db, async (tx) => {
        const agent = await store.findAgent(tx, id)
        if (!agent) throw new AgentNotFound()
        await store.activate(tx, agent, now().toISOString())
      })
      return this.get(id)
    },

    /** @throws AgentNotFound, AgentActive */
    async remove(id: string): Promise<void> {
      if (await store.deleteInactiveAgent(db, id)) return
      await this.get(id)
      throw new AgentActive()
    },
  }
}

/** @throws AgentNotFound when no version of this name is active */
export async function resolveAgent(db: TenantDb, name: string): Promise<Agent> {
  const agent = await store.findActiveAgent(db, name)
  if (!agent) throw new AgentNotFound(null, { message: `There is no active agent named "${name.slice(0, 100)}".` })
  return agent
}

/** Gives a new tenant the agents that planning and running need. */
export async function seedAgents(db: TenantDb, newId: () => string, now: Date): Promise<void> {
  const at = now.toISOString()
  await transaction(db, async (tx) => {
    for (const agent of SEEDED_AGENTS) {
      await store.insertAgent(tx, { ...agent, id: newId(), isActive: true, createdAt: at, updatedAt: at })
    }
  })
}

function assertToolsExist(names: readonly string[] | null): void {
  const unknown = (names ?? []).filter((name) => !findTool(name))
  if (unknown.length > 0) throw new UnknownTools({ tools: unknown })
}

async function orVersionTaken<T>(name: string, version: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (isUniqueViolation(error)) throw new AgentVersionTaken({ name, version })
    throw error
  }
}
