import { newSigningSecret } from '../crypto/signed-text.ts'
import type { ControlDb } from './control-tables.ts'

/** What a signature is for: a secret signs for one purpose only. */
export type SigningPurpose = 'stream_ticket'

/** The secret that all processes sign with for this purpose; made by the first that needs it. */
export async function sharedSigningSecret(db: ControlDb, purpose: SigningPurpose, now: Date): Promise<string> {
  const known = await findSecret(db, purpose)
  if (known !== null) return known
  const made = { purpose, secret: newSigningSecret(), created_at: now.toISOString() }
  // Of two processes that need it at once, both then read what the first has written.
  await db
    .insertInto('signing_keys')
    .values(made)
    .onConflict((conflict) => conflict.column('purpose').doNothing())
    .execute()
  return (await findSecret(db, purpose)) as string
}

async function findSecret(db: ControlDb, purpose: SigningPurpose): Promise<string | null> {
  const row = await db.selectFrom('signing_keys').select('secret').where('purpose', '=', purpose).executeTakeFirst()
  return row?.secret ?? null
}
