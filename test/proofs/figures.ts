/** A line such as `worst 12.3, p99 8, median 4`. */
export function spreadOf(values: readonly number[], digits = 1): string {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  const [median, p99, worst] = [at(0.5), at(0.99), sorted.at(-1) ?? Number.NaN]
  return `median ${median.toFixed(digits)}, p99 ${p99.toFixed(digits)}, worst ${worst.toFixed(digits)}`
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** How often each occurs, the most frequent first: `12 x plan, 3 x call`. */
export function countsOf(words: readonly string[]): string {
  const groups = [...Map.groupBy(words, (word) => word)].map(([word, all]) => ({ word, count: all.length }))
  const sorted = groups.toSorted((a, b) => b.count - a.count)
  return sorted.map(({ word, count }) => `${count} x ${word}`).join(', ') || 'none'
}
