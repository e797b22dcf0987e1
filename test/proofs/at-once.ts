/** Does something with each, at most so many at once. @throws the first error, when the others have ended */
export async function eachAtOnce<T>(
  list: readonly T[],
  atOnce: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const entries = list.entries()
  let failed: { error: unknown } | null = null
  const worker = async () => {
    for (const [index, item] of entries) {
      if (failed) return
      await work(item, index).catch((error: unknown) => {
        failed ??= { error }
      })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  if (failed) throw (failed as { error: unknown }).error
}
