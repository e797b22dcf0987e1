import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { isKeyGood } from '#features/identity/api-keys/key-watch.ts'
import { HeldClock } from '#test/features/http/held-clock.ts'
import { startApi } from '#test/support/start-api.ts'

test('what outlives its request goes by a key for a second after it was read; that it expires counts at once', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const expiresAt = new Date(clock.now().getTime() + 60_000).toISOString()
  const [{ body: revoked }, { body: expiring }] = await Promise.all([
    acme.post('/auth/api-keys', { name: 'a', scopes: ['read'] }),
    acme.post('/auth/api-keys', { name: 'b', scopes: ['read'], expiresAt }),
  ])
  await api.api.stores.homes.use(acme.tenantId, async (db) => {
    const are = () => Promise.all([revoked, expiring].map(({ id }) => isKeyGood(db, id, clock.now)))
    expect(await are()).toEqual([true, true])

    await acme.delete(`/auth/api-keys/${revoked.id}`)
    expect(await are()).toEqual([true, true]) // not read again: a thousand streams may ask
    clock.pass(60_000)
    expect(await are()).toEqual([true, false])

    await sleep(1_100)
    expect(await are()).toEqual([false, false])
    expect(await isKeyGood(db, crypto.randomUUID(), clock.now)).toBe(false)
  })
})
