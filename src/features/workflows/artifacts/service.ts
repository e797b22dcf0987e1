import type { Artifact } from '#desiagent/store/artifacts.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import type { WorkflowContext } from '../context.ts'

export function listArtifacts(ctx: WorkflowContext, executionId: string, page: PageRequest): Promise<Page<Artifact>> {
  return ctx.desi.artifacts.list(executionId, page)
}

export function readArtifact(
  ctx: WorkflowContext,
  executionId: string,
  id: string,
): Promise<{ artifact: Artifact; bytes: Uint8Array }> {
  return ctx.desi.artifacts.read(executionId, id)
}
