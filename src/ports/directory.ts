/** What a tenant may ask of the control database; bound to that tenant. */
export interface Directory {
  registerKey(keyId: string): Promise<void>
  /** At most 90 at once. */
  removeKey(...keyIds: readonly string[]): Promise<void>
  /**
   * Notes that somebody has to look at this at `dueAt` (ISO 8601), unless whoever is at it has moved the time or removed
   * the row by then. Writing it again moves the time.
   */
  putDueWork(kind: DueWorkKind, subjectId: string, dueAt: string): Promise<void>
  removeDueWork(kind: DueWorkKind, ...subjectIds: readonly string[]): Promise<void>
}

export type DueWorkKind =
  | 'execution'
  | 'planning'
  | 'experiment'
  | 'schedule'
  | 'schedule_index'
  | 'invoice'
  | 'tenant_record'
  | 'accepted_invitation'
