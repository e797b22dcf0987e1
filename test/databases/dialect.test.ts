import { type Kysely, sql } from 'kysely'
import { beforeEach, describe, expect, test } from 'vitest'
import { isUniqueViolation } from '#kit/db/constraint-errors.ts'
import { migrate } from '#kit/db/migrate.ts'
import { prepared } from '#kit/db/prepared.ts'
import { DatabaseBusy } from '#kit/db/sqlite/connection-lock.ts'
import { transaction } from '#kit/db/transaction.ts'
import { BACKENDS, openDatabase } from './backends.ts'

interface Tables {
  notes: { id: string; title: string; size: number; meta: string | null }
  links: { id: string; note_id: string }
}

const failed = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: unknown) => error,
  )

describe.each(BACKENDS)('SQLite on $name', ({ open }) => {
  let db: Kysely<Tables>

  beforeEach(async () => {
    db = openDatabase<Tables>(open())
    await db.schema
      .createTable('notes')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('title', 'text', (c) => c.notNull().unique())
      .addColumn('size', 'bigint', (c) => c.notNull())
      .addColumn('meta', 'text')
      .execute()
    await db.schema
      .createTable('links')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('note_id', 'text', (c) => c.notNull().references('notes.id'))
      .execute()
  })

  const add = (to: Kysely<Tables>, id: string, more: Partial<Tables['notes']> = {}) =>
    to
      .insertInto('notes')
      .values({ id, title: `title ${id}`, size: 0, meta: null, ...more })
      .execute()
  const ids = async () => (await db.selectFrom('notes').select('id').orderBy('id').execute()).map(({ id }) => id)

  describe('a transaction', () => {
    test('keeps what it did when it ends well, and answers its result', async () => {
      const result = await transaction(db, async (tx) => {
        await add(tx, 'a')
        await add(tx, 'b')
        return 42
      })
      expect(result).toBe(42)
      expect(await ids()).toEqual(['a', 'b'])
    })

    test('undoes everything when it throws, and throws on what it was thrown', async () => {
      const error = new Error('no')
      const thrown = await failed(
        transaction(db, async (tx) => {
          await add(tx, 'a')
          throw error
        }),
      )
      expect(thrown).toBe(error)
      expect(await ids()).toEqual([])
    })

    test('sees its own changes', async () => {
      await transaction(db, async (tx) => {
        await add(tx, 'a')
        expect((await tx.selectFrom('notes').selectAll().execute()).length).toBe(1)
      })
    })

    test('goes on after a constraint error that was caught', async () => {
      await add(db, 'a')
      await transaction(db, async (tx) => {
        await add(tx, 'b')
        expect(isUniqueViolation(await failed(add(tx, 'a')))).toBe(true)
        await add(tx, 'c')
      })
      expect(await ids()).toEqual(['a', 'b', 'c'])
    })

    test('lets twenty concurrent ones read, change and write without losing one', async () => {
      await add(db, 'counter')
      await Promise.all(
        Array.from({ length: 20 }, () =>
          transaction(db, async (tx) => {
            const { size } = await tx.selectFrom('notes').select('size').executeTakeFirstOrThrow()
            await Promise.resolve()
            await tx
              .updateTable('notes')
              .set({ size: size + 1 })
              .execute()
          }),
        ),
      )
      expect((await db.selectFrom('notes').select('size').executeTakeFirstOrThrow()).size).toBe(20)
    })

    test('whose commit fails undoes everything, says why, and leaves the database usable', async () => {
      await sql`create table late (note_id text references notes(id) deferrable initially deferred)`.execute(db)
      const error = await failed(
        transaction(db, async (tx) => {
          await add(tx, 'a')
          await sql`insert into late values ('nobody')`.execute(tx)
        }),
      )
      expect(String(error)).toMatch(/FOREIGN KEY/i)
      expect(await ids()).toEqual([])
      await transaction(db, (tx) => add(tx, 'b'))
      expect(await ids()).toEqual(['b'])
    })

    test('that uses the outer database inside itself is told so, and the database works afterwards', async () => {
      const error = await failed(
        transaction(db, async (tx) => {
          await add(tx, 'a')
          await add(db, 'b')
        }),
      )
      expect(error).toBeInstanceOf(DatabaseBusy)
      expect(String(error)).toContain('Inside a transaction, use the transaction.')
      expect(await ids()).toEqual([])
      await transaction(db, (tx) => add(tx, 'c'))
      expect(await ids()).toEqual(['c'])
    })

    test('that opens another on the outer database is told so', async () => {
      const error = await failed(transaction(db, () => transaction(db, (tx) => add(tx, 'a'))))
      expect(error).toBeInstanceOf(DatabaseBusy)
      await add(db, 'b')
      expect(await ids()).toEqual(['b'])
    })
  })

  describe('a transaction within a transaction', () => {
    test('undoes only itself', async () => {
      await transaction(db, async (tx) => {
        await add(tx, 'a')
        await failed(
          transaction(tx, async (inner) => {
            await add(inner, 'b')
            throw new Error('no')
          }),
        )
        await add(tx, 'c')
      })
      expect(await ids()).toEqual(['a', 'c'])
    })

    test('is undone with the outer one', async () => {
      await failed(
        transaction(db, async (tx) => {
          await transaction(tx, (inner) => add(inner, 'a'))
          throw new Error('no')
        }),
      )
      expect(await ids()).toEqual([])
    })

    test('goes three deep', async () => {
      await transaction(db, async (one) => {
        await add(one, 'a')
        await failed(
          transaction(one, async (two) => {
            await add(two, 'b')
            await transaction(two, (three) => add(three, 'c'))
            throw new Error('no')
          }),
        )
        await transaction(one, async (two) => {
          await add(two, 'd')
          await failed(
            transaction(two, async (three) => {
              await add(three, 'e')
              throw new Error('no')
            }),
          )
        })
      })
      expect(await ids()).toEqual(['a', 'd'])
    })
  })

  describe('what would fail on one home is refused on all', () => {
    test('more than 100 parameters', async () => {
      const values = (count: number) => Array.from({ length: count }, (_, i) => `${i}`)
      const find = (count: number) => db.selectFrom('notes').selectAll().where('id', 'in', values(count)).execute()
      expect(await find(100)).toEqual([])
      await expect(find(101)).rejects.toThrow(/at most 100 parameters/)
    })

    test('a bigint', async () => {
      await expect(add(db, 'a', { size: 1n as never })).rejects.toThrow(/not as bigint/)
    })

    test('a boolean', async () => {
      await expect(add(db, 'a', { size: true as never })).rejects.toThrow(/1 and 0/)
    })

    test('a LIKE pattern of more than 50 bytes, whatever the characters', async () => {
      const find = (pattern: string) => db.selectFrom('notes').selectAll().where('title', 'like', pattern).execute()
      expect(await find('x'.repeat(50))).toEqual([])
      expect(await find('é'.repeat(25))).toEqual([])
      await expect(find('x'.repeat(51))).rejects.toThrow(/at most 50 bytes/)
      await expect(find('é'.repeat(26))).rejects.toThrow(/at most 50 bytes/)
    })

    test('nothing of it reaches the database', async () => {
      await failed(add(db, 'a', { size: 1n as never }))
      expect(await ids()).toEqual([])
    })
  })

  describe('answers', () => {
    test('RETURNING gives the rows', async () => {
      const rows = await db
        .insertInto('notes')
        .values(['a', 'b'].map((id) => ({ id, title: id, size: 1, meta: null })))
        .returning(['id', 'size'])
        .execute()
      expect(rows).toEqual([
        { id: 'a', size: 1 },
        { id: 'b', size: 1 },
      ])
      const [updated] = await db.updateTable('notes').set({ size: 7 }).where('id', '=', 'a').returningAll().execute()
      expect(updated).toEqual({ id: 'a', title: 'a', size: 7, meta: null })
      expect(await db.deleteFrom('notes').where('id', '=', 'x').returning('id').execute()).toEqual([])
    })

    test('the rows that a statement changed are counted, those that matched but stayed out are not', async () => {
      await add(db, 'a')
      await add(db, 'b')
      const update = await db.updateTable('notes').set({ size: 1 }).executeTakeFirstOrThrow()
      expect(update.numUpdatedRows).toBe(2n)
      const miss = await db.updateTable('notes').set({ size: 1 }).where('id', '=', 'x').executeTakeFirstOrThrow()
      expect(miss.numUpdatedRows).toBe(0n)
      const ignored = await db
        .insertInto('notes')
        .values({ id: 'a', title: 'other', size: 0, meta: null })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .executeTakeFirstOrThrow()
      expect(ignored.numInsertedOrUpdatedRows).toBe(0n)
      const gone = await db.deleteFrom('notes').executeTakeFirstOrThrow()
      expect(gone.numDeletedRows).toBe(2n)
    })

    test('a double value is recognised, other refusals are not taken for one', async () => {
      await add(db, 'a')
      expect(isUniqueViolation(await failed(add(db, 'a')))).toBe(true)
      expect(isUniqueViolation(await failed(add(db, 'b', { title: 'title a' })))).toBe(true)
      expect(isUniqueViolation(await failed(add(db, 'c', { title: null as never })))).toBe(false)
      const orphan = await failed(db.insertInto('links').values({ id: 'l', note_id: 'nobody' }).execute())
      expect(orphan).toBeInstanceOf(Error)
      expect(isUniqueViolation(orphan)).toBe(false)
    })

    test('whole numbers come back as they were, up to 2^53', async () => {
      const numbers = [0, 1, -1, 2 ** 31, -(2 ** 31) - 1, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]
      for (const [i, size] of numbers.entries()) await add(db, `${i}`, { size })
      const rows = await db.selectFrom('notes').select('size').orderBy('id').execute()
      expect(rows.map(({ size }) => size)).toEqual(numbers)
    })

    test('sums in SQL are exact', async () => {
      await add(db, 'a', { size: 2 ** 52 })
      await db
        .updateTable('notes')
        .set((eb) => ({ size: eb('size', '+', 1) }))
        .execute()
      expect((await db.selectFrom('notes').select('size').executeTakeFirstOrThrow()).size).toBe(2 ** 52 + 1)
    })

    test('text comes back as it was: empty, quotes, emoji, line ends', async () => {
      const titles = ['', "it's", '"', '\\', '😀 é ü', 'a\nb\r\n', '%_', 'null', '$1 ? :x @y']
      for (const [i, title] of titles.entries()) await add(db, `${i}`, { title })
      const rows = await db.selectFrom('notes').select('title').orderBy('id').execute()
      expect(rows.map(({ title }) => title)).toEqual(titles)
    })

    test('text is ordered by its bytes, and cases differ', async () => {
      for (const title of ['b', 'B', 'a', 'Z', 'é', '10', '9', '_']) await add(db, title, { title })
      const rows = await db.selectFrom('notes').select('title').orderBy('title').execute()
      expect(rows.map(({ title }) => title)).toEqual(['10', '9', 'B', 'Z', '_', 'a', 'b', 'é'])
      expect(await db.selectFrom('notes').selectAll().where('title', '=', 'A').execute()).toEqual([])
    })

    test('JSON stays text and can be looked into', async () => {
      const meta = { a: [1, 'x', null], b: { c: true } }
      await add(db, 'a', { meta: JSON.stringify(meta) })
      const { meta: text } = await db.selectFrom('notes').select('meta').executeTakeFirstOrThrow()
      expect(JSON.parse(text ?? '')).toEqual(meta)
      const { rows } = await sql<{ c: unknown }>`select json_extract(meta, '$.a[1]') as c from notes`.execute(db)
      expect(rows).toEqual([{ c: 'x' }])
    })

    test('null is null', async () => {
      await add(db, 'a')
      expect(await db.selectFrom('notes').select('meta').where('meta', 'is', null).execute()).toEqual([{ meta: null }])
    })
  })

  describe('a prepared query', () => {
    interface Bounds extends Record<string, string | number> {
      min: number
      title: string
      max: number
    }
    const between = prepared<Tables, Bounds, { id: string }>((to, { min, title, max }) =>
      to
        .selectFrom('notes')
        .select('id')
        .where('size', '>=', min)
        .where('title', '!=', title)
        .where('size', '<=', max)
        .where('id', '!=', 'fixed')
        .where((eb) => eb.or([eb('size', '>=', min), eb('size', '=', 0)]))
        .orderBy('id'),
    )

    test('binds each parameter where it stands, also twice, and constants too', async () => {
      for (const size of [1, 2, 3, 4, 5]) await add(db, `n${size}`, { size })
      await add(db, 'fixed', { size: 3 })
      expect(await between(db, { max: 4, title: 'title n3', min: 2 })).toEqual([{ id: 'n2' }, { id: 'n4' }])
      expect(await between(db, { min: 5, max: 5, title: '' })).toEqual([{ id: 'n5' }])
      expect(await between(db, { min: 1, max: 1, title: "'; drop table notes; --" })).toEqual([{ id: 'n1' }])
    })

    test('works inside a transaction and on another database', async () => {
      await transaction(db, async (tx) => {
        await add(tx, 'n1', { size: 1 })
        expect(await between(tx, { min: 1, max: 1, title: '' })).toEqual([{ id: 'n1' }])
      })
      const other = openDatabase<Tables>(open())
      await expect(between(other, { min: 1, max: 1, title: '' })).rejects.toThrow(/no such table/)
    })
  })

  describe('migrations', () => {
    const good = {
      up: (to: Kysely<unknown>) => to.schema.createTable('good').addColumn('id', 'text').execute(),
    }
    const failing = {
      async up(to: Kysely<unknown>) {
        await to.schema.createTable('half').addColumn('id', 'text').execute()
        await sql`insert into half values ('x')`.execute(to)
        throw new Error('the second half is missing')
      },
    }
    const tables = async () => {
      const { rows } = await sql<{ name: string }>`select name from sqlite_master where type = 'table'`.execute(db)
      return rows.map(({ name }) => name)
    }

    test('one that fails leaves nothing behind, and says why', async () => {
      await expect(migrate(db as never, { '0001_good': good as never, '0002_failing': failing })).rejects.toThrow(
        'the second half is missing',
      )
      expect(await tables()).not.toContain('half')
      expect(await tables()).not.toContain('good')
      await migrate(db as never, { '0001_good': good as never })
      expect(await tables()).toContain('good')
    })

    test('those that ran do not run again', async () => {
      await migrate(db as never, { '0001_good': good as never })
      await migrate(db as never, { '0001_good': good as never, '0002_more': { up: async () => {} } })
      expect(await tables()).toContain('good')
    })
  })
})
