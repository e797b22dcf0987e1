import type { Artifact, StoredArtifact } from '#desiagent/store/artifacts.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import type { WorkflowContext } from '../context.ts'

export async function listArtifacts(
  ctx: WorkflowContext,
  executionId: string,
  page: PageRequest,
): Promise<Page<Artifact>> {
  const found = await ctx.desi.artifacts.list(executionId, page)
  return { ...found, rows: found.rows.map(present) }
}

export function readArtifact(
  ctx: WorkflowContext,
  executionId: string,
  id: string,
): Promise<{ artifact: StoredArtifact; bytes: Uint8Array }> {
  return ctx.desi.artifacts.read(executionId, id)
}

/** Where its bytes are is nobody's business. */
function present({ blobKey: _, ...artifact }: StoredArtifact): Artifact {
  return artifact
}
