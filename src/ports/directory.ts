/** What a tenant may ask of the control database; bound to that tenant. */
export interface Directory {
  registerKey(keyId: string): Promise<void>
  /** At most 90 at once. */
  removeKey(...keyIds: readonly string[]): Promise<void>
  /** Notes that this tenant has something to do at `dueAt` (ISO 8601). Writing it again moves the time. */
  putDueWork(kind: DueWorkKind, subjectId: string, dueAt: string): Promise<void>
  removeDueWork(kind: DueWorkKind, subjectId: string): Promise<void>
}

export type DueWorkKind = 'execution' | 'planning' | 'experiment' | 'invoice' | 'tenant_record' | 'accepted_invitation'
