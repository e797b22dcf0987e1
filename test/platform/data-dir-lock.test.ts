import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DataDirInUse, lockDataDir } from '#platform/node/data-dir-lock.ts'
import { startApi } from '#test/support/start-api.ts'
import { firstLine, runNode, startNode, temporaryFolder } from './children.ts'

const LOCK = join(import.meta.dirname, '../../src/platform/node/data-dir-lock.ts')

/** A process that takes the lock, says so, and stays. */
const holder = (folder: string) =>
  startNode(
    [
      '--input-type=module',
      '--eval',
      `import { lockDataDir } from ${JSON.stringify(LOCK)}
       lockDataDir(${JSON.stringify(folder)})
       console.log('locked')
       setInterval(() => {}, 1000)`,
    ],
    {},
  )

test('a data folder has one server, and the next one when that has gone', () => {
  const folder = temporaryFolder()
  const unlock = lockDataDir(folder)
  expect(() => lockDataDir(folder)).toThrow(DataDirInUse)
  unlock()
  lockDataDir(folder)()
})

test('another process that has the folder keeps it until it dies, even by kill -9', async () => {
  const folder = temporaryFolder()
  const { child, finished } = holder(folder)
  expect(await firstLine(child)).toBe('locked')
  expect(() => lockDataDir(folder)).toThrow(DataDirInUse)
  child.kill('SIGKILL')
  await finished
  lockDataDir(folder)()
})

test('a second server on the same folder says so in one sentence and stops', async () => {
  const api = await startApi()
  const { code, stdout, stderr } = await runNode(['src/node.ts'], {
    DESI_DATA_DIR: api.dataDir,
    PORT: '0',
    LOG_LEVEL: 'info',
  })
  expect(code).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toBe(
    `Another server is using the data folder ${api.dataDir}. Stop it, or set DESI_DATA_DIR to another folder.\n`,
  )
  expect((await api.client(null).raw('/health')).status).toBe(200)
})

test('a server that was closed leaves the folder to the next', async () => {
  const first = await startApi()
  const acme = await first.tenant('acme')
  await first.close()
  const second = await startApi({ dataDir: first.dataDir })
  expect((await second.client(acme.key).get('/auth/me')).status).toBe(200)
})
