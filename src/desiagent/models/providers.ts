/** Apart from their SDKs and prices, because contracts and the configuration need only the names. */
export const PROVIDERS = ['openai', 'anthropic', 'google', 'openrouter', 'ollama', 'offline'] as const
export type ProviderName = (typeof PROVIDERS)[number]

/** The model of each provider that is used when nobody names one. */
export const DEFAULT_MODEL: Record<ProviderName, string> = {
  openai: 'gpt-5-mini',
  anthropic: 'claude-haiku-4-5',
  google: 'gemini-2.5-flash',
  openrouter: 'openai/gpt-5-mini',
  ollama: 'llama3.2',
  offline: 'offline-1',
}
