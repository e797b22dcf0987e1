import { homedir } from 'node:os'
import { join } from 'node:path'
import type { EngineSettings } from '#desiagent/index.ts'
import type { TenantOperations } from '#kit/context.ts'
import { bcryptHasher, type SecretHasher } from '#kit/crypto/secret-hash.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { TenantHomes } from '#kit/db/tenant-homes.ts'
import type { Clock } from '#kit/time.ts'
import { diskBlobs } from '#platform/node/disk-blobs.ts'
import { pinoLog } from '#platform/node/pino-log.ts'
import { sqliteDatabases } from '#platform/node/sqlite/databases.ts'
import type { Blobs } from '#ports/blobs.ts'
import type { Log } from '#ports/log.ts'
import { type Config, secretsOf } from '../config.ts'
import { storeOperations, tenantOperations } from '../tenant-operations.ts'

/** What a test puts in the place of the real thing. */
export interface Overrides {
  now?: Clock
  hasher?: SecretHasher
  log?: Log
  engine?: Partial<EngineSettings>
  /** How long a reader may take nothing before it is cut. */
  readerLimitMs?: number
}

export interface Stores {
  config: Config
  dataDir: string
  control: ControlDb
  homes: TenantHomes
  blobs: Blobs
  /** Without what needs desiAgent: the running server has its own. */
  tenants: TenantOperations
  hasher: SecretHasher
  log: Log
  now: Clock
  close(): Promise<void>
}

const STDOUT = 1

/** Opens the control database and the way to the tenants': all that commands such as bootstrap need. */
export async function openStores(config: Config, overrides: Overrides = {}): Promise<Stores> {
  const dataDir = dataDirOf(config)
  const databases = sqliteDatabases(dataDir, config.SQLITE_SYNCHRONOUS)
  const control = await databases.openControl()
  const homes = new TenantHomes(databases, config.MAX_OPEN_TENANTS)
  const blobs = diskBlobs(join(dataDir, 'blobs'))
  const now = overrides.now ?? (() => new Date())
  return {
    config,
    dataDir,
    control,
    homes,
    blobs,
    tenants: tenantOperations({ homes, blobs }, storeOperations(now)),
    hasher: overrides.hasher ?? bcryptHasher(config.API_KEY_BCRYPT_COST),
    log: overrides.log ?? pinoLog(config.LOG_LEVEL, STDOUT, secretsOf(config)),
    now,
    async close() {
      await homes.close()
      await control.destroy()
    },
  }
}

export function dataDirOf(config: Config): string {
  return config.DESI_DATA_DIR || join(homedir(), '.desiAgent')
}
