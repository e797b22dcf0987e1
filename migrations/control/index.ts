import * as tenants from './0001_tenants.ts'

export const controlMigrations = {
  '0001_tenants': tenants,
}
