import type { Wake } from '#ports/wake.ts'

/** Wakes readers in the same process. */
export function localWake(): Wake {
  const listeners = new Map<string, Set<() => void>>()
  return {
    notify(topic) {
      for (const listener of listeners.get(topic) ?? []) listener()
    },
    subscribe(topic, listener) {
      const known = listeners.get(topic) ?? new Set()
      listeners.set(topic, known.add(listener))
      return () => {
        known.delete(listener)
        if (known.size === 0 && listeners.get(topic) === known) listeners.delete(topic)
      }
    },
  }
}
