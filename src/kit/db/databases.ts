import type { ControlDb } from './control-tables.ts'
import type { TenantDb } from './tenant-tables.ts'

/** The tenant was never made, is being removed, or is gone. */
export class NoTenantDatabase extends Error {
  constructor() {
    super('there is no database of this tenant')
    this.name = 'NoTenantDatabase'
  }
}

/** The dialect factory: opens the control database and each tenant's own, migrated. A platform provides it. */
export interface Databases {
  openControl(): Promise<ControlDb>
  /** Null when there is no such tenant database. */
  openTenant(tenantId: string): Promise<TenantDb | null>
  /** Makes an empty, migrated database; one left behind by a creation that died is replaced. */
  createTenant(tenantId: string): Promise<void>
  deleteTenant(tenantId: string): Promise<void>
  /** What the tenant's database takes up, in bytes; 0 when there is none. */
  sizeOfTenant(tenantId: string): Promise<number>
}
