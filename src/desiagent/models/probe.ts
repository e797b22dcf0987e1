import type { ProviderName } from './providers.ts'
import type { ModelSettings, ProviderAccess } from './registry.ts'

const BASE_URL: Record<Exclude<ProviderName, 'offline'>, string> = {
  openai: 'https://api.openai.com/v1',
  anthropic: 'https://api.anthropic.com/v1',
  google: 'https://generativelanguage.googleapis.com/v1beta',
  openrouter: 'https://openrouter.ai/api/v1',
  ollama: 'http://127.0.0.1:11434/v1',
}

/**
 * Asks the default provider for its list of models: it is there and takes our key. Costs nothing; the offline model is
 * always there.
 *
 * @throws ProbeFailed, whose message tells neither the key nor the address
 */
export async function probeProvider({ defaultProvider, providers }: ModelSettings, signal: AbortSignal): Promise<void> {
  if (defaultProvider === 'offline') return
  const { url, headers } = listOfModels(defaultProvider, providers[defaultProvider] ?? {})
  const status = await statusOf(url, { headers, signal, redirect: 'manual' }) // a key follows no redirect
  if (status < 200 || status > 299) throw new ProbeFailed(`${defaultProvider} answered ${status}`)
}

export class ProbeFailed extends Error {
  constructor(reason: string) {
    super(reason)
    this.name = 'ProbeFailed'
  }
}

function listOfModels(provider: Exclude<ProviderName, 'offline'>, { apiKey = '', baseUrl }: ProviderAccess) {
  const base = (baseUrl ?? BASE_URL[provider]).replace(/\/+$/, '')
  const headers: Record<string, string> = {}
  if (provider === 'google') return { url: `${base}/models?pageSize=1`, headers: { 'x-goog-api-key': apiKey } }
  if (provider === 'anthropic') Object.assign(headers, { 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' })
  else if (apiKey !== '') headers.authorization = `Bearer ${apiKey}`
  return { url: `${base}/models`, headers }
}

/** What fetch throws may quote the address with a password in it, or a key that is no valid header. */
async function statusOf(url: string, init: RequestInit): Promise<number> {
  try {
    const response = await fetch(url, init)
    await response.body?.cancel()
    return response.status
  } catch (error) {
    const { name, cause } = error as { name?: string; cause?: { code?: unknown } }
    throw new ProbeFailed(`the provider could not be reached: ${String(cause?.code ?? name)}`)
  }
}
