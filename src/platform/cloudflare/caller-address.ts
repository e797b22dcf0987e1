/** The caller's address as Cloudflare's edge saw it; a caller cannot set this header past the edge. */
export function callerAddress(c: { req: { header(name: string): string | undefined } }): string {
  return c.req.header('cf-connecting-ip') ?? 'unknown'
}
