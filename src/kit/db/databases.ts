import type { ControlDb } from './control-tables.ts'
import type { TenantDb } from './tenant-tables.ts'

/** The dialect factory: opens the control database and each tenant's own, migrated. A platform provides it. */
export interface Databases {
  openControl(): Promise<ControlDb>
  /** Null when there is no such tenant database. */
  openTenant(tenantId: string): Promise<TenantDb | null>
  /** Makes an empty, migrated database; one left behind by a creation that died is replaced. */
  createTenant(tenantId: string): Promise<void>
  deleteTenant(tenantId: string): Promise<void>
}
