import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/runtimes/workerd.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // The harness then neither reports usage nor asks Cloudflare for a sample `request.cf`.
    env: { WRANGLER_SEND_METRICS: 'false', CLOUDFLARE_CF_FETCH_ENABLED: 'false' },
  },
})
