import { seedAgents } from '#desiagent/agents.ts'
import type { DesiAgent } from '#desiagent/index.ts'
import {
  closeMonth,
  type InvoiceChange,
  type InvoiceList,
  listInvoices,
  type MonthToClose,
  updateInvoice,
} from '#features/billing/invoices/operations.ts'
import { readTaken } from '#features/billing/usage/quotas.ts'
import { readMigration, type StoredFigures } from '#features/identity/tenants/figures.ts'
import {
  type Provision,
  provisionIdentity,
  type Rotation,
  rotateBootstrapKey,
} from '#features/identity/tenants/operations.ts'
import { findFirstAdmin, setTenantRecord, type TenantRecord } from '#features/identity/tenants/repository.ts'
import { readStanding } from '#features/identity/tenants/service.ts'
import { type Acceptance, acceptInvitation, endInvitations } from '#features/identity/users/operations.ts'
import type { TenantOperations } from '#kit/context.ts'
import type { TenantHomes } from '#kit/db/tenant-homes.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { newId } from '#kit/ids.ts'
import type { Clock } from '#kit/time.ts'
import { tenantMigrations } from '#migrations/tenant/index.ts'
import type { Blobs } from '#ports/blobs.ts'

/** An open tenant database, and whose it is. */
export interface TenantHome {
  tenantId: string
  db: TenantDb
}

/** What control may ask of a tenant, by name; on Workers the same names travel between Durable Objects. */
export type Operations = Record<string, (home: TenantHome, input: never) => Promise<unknown>>

const NEWEST_MIGRATION = Object.keys(tenantMigrations).at(-1) as string

/** Those that need nothing but the database. */
export function storeOperations(now: Clock): Operations {
  return {
    async provision({ db }, input: Provision) {
      await provisionIdentity(db, input)
      await seedAgents(db, newId, now())
    },
    rotateBootstrapKey: ({ db }, input: Rotation) => rotateBootstrapKey(db, input),
    firstAdmin: ({ db }) => findFirstAdmin(db),
    setTenantRecord: ({ db }, input: TenantRecord) => setTenantRecord(db, input),
    figures: ({ db }, { period }: { period: string }) => readFigures(db, period),
    acceptInvitation: ({ db }, input: Acceptance) => acceptInvitation(db, input),
    endInvitations: ({ db }, input: { at: string }) => endInvitations(db, input),
    closeMonth: (home, input: MonthToClose) => closeMonth(home, input),
    listInvoices: (home, input: InvoiceList) => listInvoices(home, input),
    updateInvoice: (home, input: InvoiceChange) => updateInvoice(home, input),
  }
}

/** What is there now. @param period  the month that counts, `YYYY-MM` */
async function readFigures(db: TenantDb, period: string): Promise<StoredFigures> {
  const taken = await readTaken(db, period)
  return {
    figures: {
      users: taken.maxUsers,
      agents: taken.maxAgents,
      executionsThisMonth: taken.maxExecutionsPerMonth,
      tokensThisMonth: taken.maxTokensPerMonth,
      activeExecutions: taken.maxConcurrentExecutions,
    },
    migration: await readMigration(db, NEWEST_MIGRATION),
  }
}

/** Why the executions of a suspended tenant rest. */
export const TENANT_IS_SUSPENDED = { code: 'tenant_suspended', message: 'The tenant is suspended.' }

/** Those that need its desiAgent. */
export function engineOperations(desiOf: (tenantId: string, db: TenantDb) => DesiAgent): Operations {
  return {
    async stopWork({ tenantId, db }) {
      const { isActive } = await readStanding(db) // somebody may have resumed it since
      if (!isActive) await desiOf(tenantId, db).executions.suspendAll(TENANT_IS_SUSPENDED)
    },
  }
}

export interface TenantStores {
  homes: TenantHomes
  blobs: Blobs
}

export function tenantOperations({ homes, blobs }: TenantStores, operations: Operations): TenantOperations {
  return {
    create: (tenantId) => homes.create(tenantId),
    async remove(tenantId) {
      await homes.remove(tenantId)
      await blobs.deleteAll(tenantId) // only now: whoever had the database open could still have written one
    },
    databaseSizeBytes: (tenantId) => homes.sizeOf(tenantId),
    async run(tenantId, name, input) {
      const operation = operations[name]
      if (!operation) throw new Error(`no tenant operation ${name}`)
      return homes.use(tenantId, (db) => operation({ tenantId, db }, input as never))
    },
  }
}
