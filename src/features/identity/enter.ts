import {
  type ControlContext,
  type Role,
  SCOPES_OF_ROLE,
  type Scope,
  type TenantContext,
  type TenantOperations,
  type TenantScope,
} from '#kit/context.ts'
import { claimsToBeAdminKey, parseApiKey } from '#kit/crypto/api-key.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { directoryOf } from '#kit/db/directory.ts'
import type { PinnedHome } from '#kit/db/tenant-homes.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { InsufficientScope } from '#kit/http/errors.ts'
import type { Entered } from '#kit/http/guard.ts'
import { newId } from '#kit/ids.ts'
import type { Clock } from '#kit/time.ts'
import type { Directory } from '#ports/directory.ts'
import { isKeyGood } from './api-keys/key-watch.ts'
import type { CallerRow } from './api-keys/repository.ts'
import type { KeyVerifier } from './api-keys/verify.ts'
import { limitsOfRow } from './tenants/plans.ts'

export interface EntranceParts {
  verifier: KeyVerifier
  control: ControlDb
  tenants: TenantOperations
  now: Clock
}

/** The ways from a credential to a context: into a tenant, and into control. */
export function entrances({ verifier, control, tenants, now }: EntranceParts) {
  return {
    async enterTenant(credential: string, address: string): Promise<Entered<TenantContext>> {
      if (claimsToBeAdminKey(credential)) {
        await verifier.adminKey(credential, address)
        throw new InsufficientScope({ required: 'a tenant', granted: ['super_admin'] })
      }
      const { caller, home } = await verifier.tenantKey(credential, address)
      const context = tenantContext(caller, home, control, now)
      return { principal: context.actor, context, release: home.release }
    },

    async enterByTicket(ticket: string, executionId: string, address: string): Promise<Entered<TenantContext>> {
      const { caller, home } = await verifier.ticket(ticket, executionId, address)
      const context = readingOnly(tenantContext(caller, home, control, now))
      return { principal: context.actor, context, release: home.release }
    },

    async enterControl(credential: string, address: string): Promise<Entered<ControlContext>> {
      const parsed = parseApiKey(credential)
      if (parsed && parsed.environment !== 'admin') {
        const { caller, home } = await verifier.tenantKey(credential, address)
        home.release()
        throw new InsufficientScope({ required: 'super_admin', granted: JSON.parse(caller.scopes) as string[] })
      }
      const key = await verifier.adminKey(credential, address)
      const context = controlContext(key.id, control, tenants, now)
      return { principal: context.actor, context, release: () => {} }
    },
  }
}

const NOTHING_TO_RECORD = async () => {}

/** The context of the super admin's services; `keyId` is the row of the key that calls. */
export function controlContext(keyId: string, db: ControlDb, tenants: TenantOperations, now: Clock): ControlContext {
  return {
    actor: { tenantId: null, userId: null, keyId, role: 'admin', scopes: ['super_admin'] },
    db,
    tenants,
    commitWith: NOTHING_TO_RECORD,
    transaction: (work) => transaction(db, work),
    now,
    newId,
  }
}

function tenantContext(caller: CallerRow, home: PinnedHome, control: ControlDb, now: Clock): TenantContext {
  const { db } = home
  return {
    ...standingOf(caller),
    db,
    directory: directoryFor(db, control, caller.tenant_id),
    commitWith: NOTHING_TO_RECORD,
    hold: home.hold,
    isKeyStillGood: () => isKeyGood(db, caller.id, now),
    transaction: (work) => transaction(db, work),
    now,
    newId,
  }
}

/** A ticket opens for reading at most, whatever the key may do that asked for it. */
function readingOnly(context: TenantContext): TenantContext {
  const { actor } = context
  return { ...context, actor: { ...actor, scopes: actor.scopes.filter((scope) => scope === 'read') } }
}

type Standing = Pick<TenantContext, 'tenant' | 'limits' | 'actor'>

const STANDINGS = new WeakMap<CallerRow, Standing>()

/** Who the caller is and what it may do; parsed once for as long as its row is remembered. */
function standingOf(caller: CallerRow): Standing {
  const standing = STANDINGS.get(caller) ?? readStanding(caller)
  STANDINGS.set(caller, standing)
  return standing
}

function readStanding(caller: CallerRow): Standing {
  const scopes = scopesOf(caller)
  return {
    tenant: { id: caller.tenant_id, plan: caller.tenant_plan },
    limits: limitsOfRow(caller.tenant_plan, caller.tenant_quotas),
    actor: {
      tenantId: caller.tenant_id,
      userId: caller.user_id,
      keyId: caller.id,
      role: roleOf(caller, scopes),
      scopes,
    },
  }
}

const DIRECTORIES = new WeakMap<TenantDb, Directory>()

/** One directory for as long as the tenant's database is open. */
function directoryFor(db: TenantDb, control: ControlDb, tenantId: string): Directory {
  const directory = DIRECTORIES.get(db) ?? directoryOf(control, tenantId)
  DIRECTORIES.set(db, directory)
  return directory
}

/** A user's role bounds what their keys may do, also of keys made before the role was changed. */
function scopesOf({ scopes, user_role }: CallerRow): readonly Scope[] {
  const granted = JSON.parse(scopes) as TenantScope[]
  if (user_role === null) return granted
  const allowed = SCOPES_OF_ROLE[user_role as Role]
  return granted.filter((scope) => allowed.includes(scope))
}

/** A service key has no user to take a role from; its scopes say it. */
function roleOf(caller: CallerRow, scopes: readonly Scope[]): Role {
  if (caller.user_role !== null) return caller.user_role as Role
  if (scopes.includes('admin')) return 'admin'
  return scopes.some((scope) => scope !== 'read') ? 'member' : 'viewer'
}
