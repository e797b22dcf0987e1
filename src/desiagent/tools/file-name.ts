import { z } from 'zod'

/** A file's name within an execution: relative, with forward slashes, no way out, nothing invisible. */
export const FileName = z
  .string()
  .min(1)
  .max(200)
  .refine(isPlain, 'Use a plain relative name such as report.md or notes/today.md.')

function isPlain(name: string): boolean {
  // Compatibility characters such as a full-width dot or slash would turn into the real ones somewhere down the line.
  if (name.normalize('NFKC') !== name.normalize('NFC')) return false
  if (/[\p{C}\\:%*?"<>|]/u.test(name)) return false
  return name.split('/').every((part) => part.trim() === part && !/^\.*$/.test(part))
}
