import { probeProvider } from '#desiagent/models/probe.ts'
import type { ModelSettings } from '#desiagent/models/registry.ts'
import { type Dependency, remembered } from '#features/operations/health/dependencies.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { findNewestTenant } from '#kit/db/directory.ts'
import type { TenantHomes } from '#kit/db/tenant-homes.ts'

export interface DependencyParts {
  control: ControlDb
  homes: TenantHomes
  models: ModelSettings
  freeDiskBytes(): Promise<number>
  minFreeDiskBytes: number
  /** When due work was last looked for, epoch milliseconds; null when never yet. */
  lastTickAtMs(): number | null
  startedAtMs: number
  nowMs(): number
}

const PROBE_EVERY_MS = 60_000
const PROBE_LIMIT_MS = 2_000
const TICK_LATE_AFTER_MS = 180_000

/** What readiness asks for. Anybody may ask as often as they like, so nothing here costs money. */
export function dependenciesOf(parts: DependencyParts): Record<string, Dependency> {
  const { control, models, nowMs } = parts
  const probe = () => probeProvider(models, AbortSignal.timeout(PROBE_LIMIT_MS))
  return {
    controlDatabase: { check: () => control.selectFrom('tenants').select('id').limit(1).execute(), isEssential: true },
    tenantDatabase: { check: () => openNewestTenant(parts), isEssential: true },
    disk: { check: () => assertRoomOnDisk(parts), isEssential: true },
    modelProvider: { check: remembered(probe, PROBE_EVERY_MS, nowMs), isEssential: false },
    scheduler: { check: async () => assertTicking(parts), isEssential: false },
  }
}

async function openNewestTenant({ control, homes }: DependencyParts): Promise<void> {
  const tenantId = await findNewestTenant(control)
  if (tenantId === null) return
  try {
    await homes.use(tenantId, (db) => db.selectFrom('tenant').select('id').limit(1).execute())
  } catch (error) {
    const isStillThere = (await findNewestTenant(control)) === tenantId // it may just have been deleted
    if (isStillThere) throw error
  }
}

async function assertRoomOnDisk({ freeDiskBytes, minFreeDiskBytes }: DependencyParts): Promise<void> {
  const freeBytes = await freeDiskBytes()
  if (freeBytes < minFreeDiskBytes) throw new Error(`${freeBytes} bytes are free, ${minFreeDiskBytes} are wanted`)
}

function assertTicking({ lastTickAtMs, startedAtMs, nowMs }: DependencyParts): void {
  const silentMs = nowMs() - (lastTickAtMs() ?? startedAtMs)
  if (silentMs > TICK_LATE_AFTER_MS) throw new Error(`nobody has looked for due work for ${silentMs} ms`)
}
