import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import type { LanguageModelV4 } from '@ai-sdk/provider'
import { ProviderNotConfigured } from '../errors.ts'
import { aiSdkModel } from './ai-sdk-model.ts'
import type { Model } from './model.ts'
import { createOfflineModel } from './offline/index.ts'
import { PRICE_VERSION, pricedModel, priceOf } from './prices.ts'
import { DEFAULT_MODEL, PROVIDERS, type ProviderName } from './providers.ts'
import { fetchStreamable } from './whole-replies.ts'

/** What the operator configured. A provider that is absent is not configured; `offline` always is. */
export interface ModelSettings {
  defaultProvider: ProviderName
  /** For the default provider; its own default when absent. */
  defaultModel?: string | undefined
  providers: Partial<Record<Exclude<ProviderName, 'offline'>, ProviderAccess>>
}

export interface ProviderAccess {
  apiKey?: string | undefined
  baseUrl?: string | undefined
}

/** A wish for a provider and a model; either may be open. */
export interface ModelChoice {
  provider?: string | null | undefined
  model?: string | null | undefined
}

/** One door to every model. */
export class Models {
  readonly #settings: ModelSettings

  constructor(settings: ModelSettings) {
    this.#settings = settings
  }

  /** The provider and model that are used when nobody asks for another. */
  get default(): { provider: string; model: string } {
    const { defaultProvider, defaultModel } = this.#settings
    return { provider: defaultProvider, model: defaultModel ?? DEFAULT_MODEL[defaultProvider] }
  }

  /** The name a model's figures are kept under, one of few: tenants may ask for models of any name. */
  label(provider: string, model: string): string {
    const isDefault = provider === this.default.provider && model === this.default.model
    if (isDefault || model === DEFAULT_MODEL[provider as ProviderName]) return model
    return pricedModel(provider, model) ?? 'other'
  }

  /**
   * The model for the first choice that names one: request before agent before configuration. A choice that names only
   * a model means a model of the provider chosen before or after it.
   *
   * @throws ProviderNotConfigured; another provider's key is never used in its place
   */
  resolve(...choices: ModelChoice[]): Model {
    const named = choices.find((choice) => choice.provider)?.provider
    const provider = named ?? this.#settings.defaultProvider
    const fitting = choices.find((choice) => choice.model && (!choice.provider || choice.provider === provider))
    const model = fitting?.model ?? (provider === this.#settings.defaultProvider ? this.default.model : undefined)
    return this.#model(provider, model ?? undefined)
  }

  #model(provider: string, id: string | undefined): Model {
    if (!isProvider(provider)) throw this.#notConfigured(provider)
    const modelId = id ?? DEFAULT_MODEL[provider]
    if (provider === 'offline') {
      return aiSdkModel(createOfflineModel(), { provider, id: modelId, cost: () => 0, priceVersion: 'offline' })
    }
    const access = this.#settings.providers[provider]
    if (!access) throw this.#notConfigured(provider)
    const cost: Model['cost'] = (usage) => priceOf(provider, modelId, usage)
    return aiSdkModel(connect(provider, modelId, access), { provider, id: modelId, cost, priceVersion: PRICE_VERSION })
  }

  #notConfigured(provider: string) {
    const configured = [...Object.keys(this.#settings.providers), 'offline']
    return new ProviderNotConfigured({ provider, configured })
  }
}

function isProvider(name: string): name is ProviderName {
  return PROVIDERS.includes(name as ProviderName)
}

function connect(provider: Exclude<ProviderName, 'offline'>, modelId: string, access: ProviderAccess): LanguageModelV4 {
  const { apiKey = '', baseUrl } = access
  const shared = { apiKey, ...(baseUrl === undefined ? {} : { baseURL: baseUrl }) }
  switch (provider) {
    case 'openai':
      // Chat completions, not responses: every compatible server behind OPENAI_BASE_URL speaks it.
      return createOpenAI({ ...shared, fetch: fetchStreamable }).chat(modelId)
    case 'anthropic':
      return createAnthropic(shared)(modelId)
    case 'google':
      return createGoogleGenerativeAI(shared)(modelId)
    case 'openrouter':
      return compatible(provider, modelId, apiKey, baseUrl ?? 'https://openrouter.ai/api/v1')
    case 'ollama':
      return compatible(provider, modelId, apiKey, baseUrl ?? 'http://127.0.0.1:11434/v1')
  }
}

function compatible(name: string, modelId: string, apiKey: string, baseURL: string): LanguageModelV4 {
  const headers = apiKey === '' ? {} : { apiKey }
  const abilities = { includeUsage: true, supportsStructuredOutputs: true }
  return createOpenAICompatible({ name, baseURL, ...headers, ...abilities, fetch: fetchStreamable })(modelId)
}
