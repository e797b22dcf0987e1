import { DEFAULT_MODEL } from '#desiagent/models/providers.ts'
import { AddressLimit } from '#kit/http/rate-limit.ts'
import { NO_METRICS } from '#kit/no-metrics.ts'
import { boundAssets } from '#platform/cloudflare/bound-assets.ts'
import { callerAddress } from '#platform/cloudflare/caller-address.ts'
import { consoleLog } from '#platform/cloudflare/console-log.ts'
import { readConfig, type VARIABLES } from './config.ts'
import { createPublicApp, TenantsNotServed } from './public-app.ts'

/** What wrangler.toml binds, and the environment variables. */
type Bindings = { ASSETS: Fetcher } & Partial<Record<keyof typeof VARIABLES, string>>

let app: ReturnType<typeof openApp> | undefined

export default {
  fetch(request, bindings, ctx) {
    app ??= openApp(bindings)
    return app.fetch(request, bindings, ctx)
  },
} satisfies ExportedHandler<Bindings>

/** Called by the first request, not at import: outside a request a Worker has no bindings, and its clock stands at 1970. */
function openApp({ ASSETS, ...variables }: Bindings) {
  const config = readConfig(variables)
  const { defaultProvider, defaultModel } = config.models
  const log = consoleLog(config.LOG_LEVEL)
  return createPublicApp({
    frame: {
      log,
      metrics: NO_METRICS,
      bodyLimitBytes: config.BODY_LIMIT_BYTES,
      corsOrigins: config.CORS_ORIGINS,
      addressOf: callerAddress,
    },
    addressLimit: new AddressLimit(config.RATE_LIMIT_ADDRESS_PER_MINUTE, Date.now),
    assets: boundAssets(ASSETS),
    vitals: {
      startedAtMs: Date.now(),
      now: () => new Date(),
      model: { provider: defaultProvider, model: defaultModel ?? DEFAULT_MODEL[defaultProvider] },
      dependencies: { tenants: { check: () => Promise.reject(new TenantsNotServed()), isEssential: true } },
      scheduler: () => ({ runningExecutions: 0, queuedExecutions: 0 }),
      log,
    },
  })
}
