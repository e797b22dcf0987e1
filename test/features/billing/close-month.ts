/** A process of its own that closes a month ten times at once: `node close-month.ts <dataDir> <tenantId> <period> <at>`. */
import { closeMonth } from '#features/billing/invoices/operations.ts'
import { sqliteDatabases } from '#platform/node/sqlite/databases.ts'

const [dataDir = '', tenantId = '', period = '', at = ''] = process.argv.slice(2)
const db = await sqliteDatabases(dataDir, 'NORMAL').openTenant(tenantId)
if (!db) throw new Error('no such tenant')
const answers = await Promise.all(Array.from({ length: 10 }, () => closeMonth({ tenantId, db }, { period, at })))
await db.destroy()
process.stdout.write(JSON.stringify(answers))
