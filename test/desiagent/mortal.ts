import type { KyselyPlugin } from 'kysely'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Directory } from '#ports/directory.ts'

/**
 * A process that dies before its n-th statement or word to the index, as by `kill -9`: from then on it does nothing any
 * more. What it had not committed is rolled back.
 */
export class Mortal {
  readonly #diesBefore: number
  #steps = 0

  constructor(diesBefore: number) {
    this.#diesBefore = diesBefore
  }

  get isDead(): boolean {
    return this.#steps >= this.#diesBefore
  }

  database(db: TenantDb): TenantDb {
    const plugin: KyselyPlugin = {
      transformQuery: ({ node }) => {
        this.#step()
        return node
      },
      transformResult: async ({ result }) => result,
    }
    return db.withPlugin(plugin)
  }

  index(directory: Directory): Directory {
    return {
      ...directory,
      putDueWork: async (...row) => {
        this.#step()
        await directory.putDueWork(...row)
      },
      removeDueWork: async (...row) => {
        this.#step()
        await directory.removeDueWork(...row)
      },
    }
  }

  /** Lives as long as it can. @returns whether it lived to the end */
  async live(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work()
    } catch (error) {
      if (!this.isDead) throw error
    }
    return !this.isDead
  }

  #step(): void {
    this.#steps += 1
    if (this.isDead) throw new Error('this process is dead')
  }
}
