import { existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { diskBlobs } from '#platform/node/disk-blobs.ts'
import { temporaryFolder } from './children.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (found: Uint8Array | null) => found && new TextDecoder().decode(found)

function start() {
  const parent = temporaryFolder()
  const folder = join(parent, 'blobs')
  return { parent, folder, blobs: diskBlobs(folder) }
}

test('bytes come back as they were put', async () => {
  const { blobs } = start()
  const all = Uint8Array.from({ length: 256 }, (_, i) => i)
  await blobs.put('tenant/dags/one', all)
  await blobs.put('tenant/dags/empty', new Uint8Array())
  expect(new Uint8Array((await blobs.get('tenant/dags/one')) as Uint8Array)).toEqual(all)
  expect((await blobs.get('tenant/dags/empty'))?.byteLength).toBe(0)
})

test('what was never put is null, also below what is no folder', async () => {
  const { blobs } = start()
  expect(await blobs.get('nothing')).toBeNull()
  expect(await blobs.get('tenant/nothing/at/all')).toBeNull()
})

test('putting again replaces the whole, and no reader sees a half', async () => {
  const { blobs, folder } = start()
  const [short, long] = ['a'.repeat(10), 'b'.repeat(500_000)]
  await blobs.put('one', bytes(short))
  const writing = Promise.all(Array.from({ length: 10 }, (_, i) => blobs.put('one', bytes(i % 2 ? short : long))))
  let isWriting = true
  void writing.finally(() => {
    isWriting = false
  })
  while (isWriting) expect([short, long]).toContain(text(await blobs.get('one')))
  await writing
  expect(readdirSync(folder)).toEqual(['one']) // nothing written aside is left
})

test('what was deleted is null, and deleting twice is no error', async () => {
  const { blobs } = start()
  await blobs.put('a/one', bytes('1'))
  await blobs.put('a/two', bytes('2'))
  await blobs.delete('a/one')
  await blobs.delete('a/one')
  expect(await blobs.get('a/one')).toBeNull()
  expect(text(await blobs.get('a/two'))).toBe('2')
})

test('files and folders are readable by their owner alone', async () => {
  const { blobs, folder } = start()
  await blobs.put('tenant/one', bytes('1'))
  expect(statSync(join(folder, 'tenant/one')).mode & 0o077).toBe(0)
  expect(statSync(join(folder, 'tenant')).mode & 0o077).toBe(0)
})

test.each([
  '..',
  '../outside',
  'a/../../outside',
  'a/..',
  '/etc/passwd',
  '//a',
  '.',
  './a',
  'a/.',
  'a.txt',
  '.hidden',
  'a//b',
  'a/',
  '',
  'a\\b',
  '..\\a',
  'C:a',
  '%2e%2e/a',
  'a%2fb',
  'a b',
  'a\u0000b',
  'a\n',
  'ä',
])('the key %j is refused', async (key) => {
  const { blobs, parent } = start()
  writeFileSync(join(parent, 'outside'), 'secret')
  await expect(blobs.put(key, bytes('x'))).rejects.toThrow('not a blob key')
  await expect(blobs.get(key)).rejects.toThrow('not a blob key')
  await expect(blobs.delete(key)).rejects.toThrow('not a blob key')
  expect(readdirSync(parent)).toEqual(['outside'])
})

test('symbolic links are not followed, neither as the file nor on the way', async () => {
  const { blobs, parent, folder } = start()
  mkdirSync(join(parent, 'elsewhere'))
  writeFileSync(join(parent, 'elsewhere/secret'), 'secret')
  mkdirSync(folder)
  symlinkSync(join(parent, 'elsewhere'), join(folder, 'way'))
  symlinkSync(join(parent, 'elsewhere/secret'), join(folder, 'file'))
  for (const key of ['file', 'way/secret', 'way/new', 'way']) {
    await expect(blobs.get(key), key).rejects.toThrow('symbolic links')
    await expect(blobs.put(key, bytes('x')), key).rejects.toThrow('symbolic links')
    await expect(blobs.delete(key), key).rejects.toThrow('symbolic links')
  }
  expect(existsSync(join(parent, 'elsewhere/new'))).toBe(false)
})
