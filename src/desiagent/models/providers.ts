/** Apart from their SDKs and prices, because contracts and the configuration need only the names. */
export const PROVIDERS = ['openai', 'anthropic', 'google', 'openrouter', 'ollama', 'offline'] as const
export type ProviderName = (typeof PROVIDERS)[number]
