import type { App, RequestContext } from '#kit/http/env.ts'
import * as contract from './contract.ts'
import { Dependencies } from './dependencies.ts'
import * as health from './service.ts'

export function mountHealth(app: App, vitals: health.Vitals): void {
  const dependencies = new Dependencies(vitals.dependencies, vitals.log)
  const ready = async (c: RequestContext) => {
    const readiness = await health.getReadiness(vitals, dependencies)
    return readiness.status === 'not_ready' ? c.json(readiness, 503) : c.json(readiness, 200)
  }
  app.openapi(contract.getHealth, (c) => c.json(health.getHealth(vitals), 200))
  app.openapi(contract.getRootHealth, (c) => c.json(health.getHealth(vitals), 200))
  app.openapi(contract.getReadiness, (c) => ready(c))
  app.openapi(contract.getRootReadiness, (c) => ready(c))
}
