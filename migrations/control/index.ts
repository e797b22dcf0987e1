import * as tenants from './0001_tenants.ts'
import * as administration from './0002_administration.ts'
import * as durableEngine from './0003_durable_engine.ts'

export const controlMigrations = {
  '0001_tenants': tenants,
  '0002_administration': administration,
  '0003_durable_engine': durableEngine,
}
