const AT_ONCE = 25

const waiting: (() => void)[] = []

/**
 * Resolves when others have had their turn. A reader as fast as we are, one that catches up on a long log, and a
 * thousand that are woken at once: none of them must keep everybody else's requests waiting. So a few go on at a time,
 * and what has arrived meanwhile is looked at before the next few do.
 */
export function othersFirst(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve)
    if (waiting.length === 1) setTimeout(letSomeGo, 0)
  })
}

// One timer for all who wait: were there many, Node would go from one to the next without a look at its sockets.
function letSomeGo(): void {
  for (const go of waiting.splice(0, AT_ONCE)) go()
  if (waiting.length > 0) setTimeout(letSomeGo, 0)
}
