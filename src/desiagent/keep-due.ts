import type { DueWorkKind } from '#ports/directory.ts'
import { leaseEnd } from './executor/start.ts'
import type { DesiAgentParts } from './parts.ts'

/** Due work in hand. */
export interface KeptDue {
  /** Leaves it to come up when nothing more is heard of it. */
  stop(): void
  /** It is done: takes its row away. Never rejects: a row that is left comes up for nothing, and is taken away then. */
  remove(): Promise<void>
}

/**
 * Keeps the time of due work ahead while it is being done here, so that no process takes this one for dead. The caller
 * has put the row, and says when it is over.
 */
export function keepDue(parts: DesiAgentParts, kind: DueWorkKind, subjectId: string): KeptDue {
  const { directory, shared } = parts
  const warn = (message: string) => (err: unknown) => shared.log.warn({ err, kind, subjectId }, message)
  let renewing: Promise<void> = Promise.resolve()
  const renew = () => {
    const renewed = directory.putDueWork(kind, subjectId, leaseEnd(shared))
    renewing = renewed.catch(warn('could not keep due work ahead'))
  }
  const renewal = setInterval(renew, shared.settings.leaseMs / 3)
  shared.running.inHand.add(subjectId)
  const stop = () => {
    clearInterval(renewal)
    shared.running.inHand.delete(subjectId)
  }
  return {
    stop,
    async remove() {
      stop()
      await renewing // else the row could be put after it was removed
      await directory.removeDueWork(kind, subjectId).catch(warn('could not take away due work'))
    },
  }
}
