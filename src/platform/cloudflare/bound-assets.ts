import type { Assets } from '#ports/assets.ts'

/** Files from the `assets` of wrangler.toml. The host name means nothing there, only the path counts. */
export function boundAssets(binding: Fetcher): Assets {
  return {
    async get(name) {
      const response = await binding.fetch(new URL(name, 'https://assets.invalid/'))
      return response.ok ? new Uint8Array(await response.arrayBuffer()) : null
    },
  }
}
