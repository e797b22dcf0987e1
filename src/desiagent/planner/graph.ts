export interface GraphNode {
  id: string
  dependencies: readonly string[]
}

/** One cycle as a list of ids that ends where it began, or null when there is none. Dependencies must exist. */
export function findCycle(nodes: readonly GraphNode[]): string[] | null {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const done = new Set<string>()
  for (const { id } of nodes) {
    const cycle = walk(id, [])
    if (cycle) return cycle
  }
  return null

  function walk(id: string, trail: string[]): string[] | null {
    if (done.has(id)) return null
    const seenAt = trail.indexOf(id)
    if (seenAt >= 0) return [...trail.slice(seenAt), id]
    for (const dependency of byId.get(id)?.dependencies ?? []) {
      const cycle = walk(dependency, [...trail, id])
      if (cycle) return cycle
    }
    done.add(id)
    return null
  }
}

/** For each node its depth in the graph, from 1: one more than its deepest dependency. The graph has no cycle. */
export function waves(nodes: readonly GraphNode[]): Map<string, number> {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const depths = new Map<string, number>()
  for (const { id } of nodes) depthOf(id)
  return depths

  function depthOf(id: string): number {
    const known = depths.get(id)
    if (known !== undefined) return known
    const dependencies = byId.get(id)?.dependencies ?? []
    const depth = 1 + Math.max(0, ...dependencies.map(depthOf))
    depths.set(id, depth)
    return depth
  }
}

/** Everything that waits, directly or not, for this task. */
export function dependantsOf<Node extends { taskId: string; dependencies: readonly string[] }>(
  nodes: readonly Node[],
  taskId: string,
): Node[] {
  const found = new Map<string, Node>()
  const reached = [taskId]
  for (let next = reached.pop(); next !== undefined; next = reached.pop()) {
    for (const node of nodes) {
      if (found.has(node.taskId) || !node.dependencies.includes(next)) continue
      found.set(node.taskId, node)
      reached.push(node.taskId)
    }
  }
  return nodes.filter((node) => found.has(node.taskId))
}
