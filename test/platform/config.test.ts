import { describe, expect, test } from 'vitest'
import { ConfigError, printEnvExample, readConfig, VARIABLES } from '#src/config.ts'

function sentenceFor(env: Record<string, string>): string {
  try {
    readConfig(env)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message
  }
  throw new Error(`${JSON.stringify(env)} was taken`)
}

test('an empty environment is a whole configuration', () => {
  expect(readConfig({})).toMatchObject({
    HOST: '127.0.0.1',
    PORT: 3000,
    API_KEY_ENV: 'live',
    RATE_LIMIT_API_PER_MINUTE: 100,
    CORS_ORIGINS: [],
    TRUSTED_PROXIES: [],
    models: { defaultProvider: 'offline', providers: {} },
  })
})

test('a variable that is empty or blank is one that is not set', () => {
  const empty = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, '  ']))
  expect(readConfig(empty)).toEqual(readConfig({}))
})

test('spaces around a value do not count', () => {
  expect(readConfig({ PORT: ' 8080 ', CORS_ORIGINS: ' https://a.example ,, https://b.example ' })).toMatchObject({
    PORT: 8080,
    CORS_ORIGINS: ['https://a.example', 'https://b.example'],
  })
})

test.each([
  ['PORT', '-1-secret'],
  ['PORT', '65536'],
  ['PORT', '3000.5'],
  ['PORT', '0x1F90'],
  ['PORT', '1e3'],
  ['NODE_ENV', 'prod-secret'],
  ['LOG_LEVEL', 'LOUD-secret'],
  ['LLM_PROVIDER', 'gpt-secret'],
  ['OPENAI_BASE_URL', 'not a url secret'],
  ['OPENAI_BASE_URL', 'ftp://user:secret@host'],
  ['ANTHROPIC_BASE_URL', 'secret'],
  ['OLLAMA_BASE_URL', 'localhost-secret'],
  ['API_KEY_ENV', 'admin'],
  ['API_KEY_BCRYPT_COST', '3'],
  ['API_KEY_BCRYPT_COST', '16'],
  ['BCRYPT_COST', 'ten-secret'],
  ['BODY_LIMIT_BYTES', '999'],
  ['TRUSTED_PROXIES', 'proxy-secret.example'],
  ['TRUSTED_PROXIES', '10.0.0.0/8,10.0.0.0/99'],
  ['RATE_LIMIT_API_PER_MINUTE', '0'],
  ['RATE_LIMIT_ADDRESS_PER_MINUTE', 'unlimited-secret'],
  ['SQLITE_SYNCHRONOUS', 'OFF'],
  ['MAX_OPEN_TENANTS', '0'],
  ['STEP_TIMEOUT_MS', '1'],
  ['SHUTDOWN_GRACE_MS', '99999999'],
])('%s=%s is one sentence that names the variable and not its value', (name, value) => {
  const sentence = sentenceFor({ [name]: value })
  expect(sentence).toMatch(new RegExp(`^${name} .+\\.$`))
  expect(sentence).not.toContain('\n')
  expect(sentence).not.toContain('secret')
  expect(sentence).not.toContain('undefined')
})

test('every number has bounds that are kept', () => {
  for (const [name, { schema }] of Object.entries(VARIABLES)) {
    if (!schema.safeParse('1000').success || schema.safeParse('x').success) continue
    expect(sentenceFor({ [name]: '5000000000000000' })).toMatch(new RegExp(`^${name} is above \\d+\\.$`))
    expect(sentenceFor({ [name]: '-1' })).toMatch(new RegExp(`^${name} is not a whole number\\.$`))
  }
})

describe('the model provider', () => {
  const chosen = (env: Record<string, string>) => readConfig(env).models

  test('is the offline one without a key', () => {
    expect(chosen({}).defaultProvider).toBe('offline')
  })

  test('is the one that has a key', () => {
    expect(chosen({ OPENAI_API_KEY: 'k' }).defaultProvider).toBe('openai')
    expect(chosen({ OPENAI_BASE_URL: 'http://127.0.0.1:1234/v1' }).defaultProvider).toBe('openai')
    expect(chosen({ ANTHROPIC_API_KEY: 'k' }).defaultProvider).toBe('anthropic')
    expect(chosen({ GOOGLE_API_KEY: 'k' }).defaultProvider).toBe('google')
    expect(chosen({ OPENROUTER_API_KEY: 'k' }).defaultProvider).toBe('openrouter')
    expect(chosen({ OLLAMA_BASE_URL: 'http://127.0.0.1:11434/v1' }).defaultProvider).toBe('ollama')
  })

  test('is the one that is named, when several have keys', () => {
    const both = { OPENAI_API_KEY: 'k', ANTHROPIC_API_KEY: 'k' }
    expect(chosen({ ...both, LLM_PROVIDER: 'anthropic' }).defaultProvider).toBe('anthropic')
    expect(chosen({ ...both, LLM_PROVIDER: 'offline' }).defaultProvider).toBe('offline')
  })

  test('cannot be one without a key', () => {
    expect(sentenceFor({ LLM_PROVIDER: 'anthropic', OPENAI_API_KEY: 'k-secret' })).toBe(
      'LLM_PROVIDER is anthropic, but ANTHROPIC_API_KEY is not set.',
    )
    expect(sentenceFor({ LLM_PROVIDER: 'ollama' })).toBe('LLM_PROVIDER is ollama, but OLLAMA_BASE_URL is not set.')
  })

  test('uses the model of LLM_MODEL, or of its own variable', () => {
    const openai = { OPENAI_API_KEY: 'k' }
    expect(chosen(openai).defaultModel).toBeUndefined()
    expect(chosen({ ...openai, OPENAI_MODEL: 'a' }).defaultModel).toBe('a')
    expect(chosen({ ...openai, OPENAI_MODEL: 'a', LLM_MODEL: 'b' }).defaultModel).toBe('b')
    expect(chosen({ ...openai, OLLAMA_MODEL: 'c' }).defaultModel).toBeUndefined()
  })

  test('keeps each key with its own provider', () => {
    const { providers } = chosen({ OPENAI_API_KEY: 'o', ANTHROPIC_API_KEY: 'a' })
    expect(providers.openai?.apiKey).toBe('o')
    expect(providers.anthropic?.apiKey).toBe('a')
    expect(Object.keys(providers).toSorted()).toEqual(['anthropic', 'openai'])
  })
})

test('the example file names every variable once and, read back, changes nothing', () => {
  const lines = printEnvExample().split('\n')
  for (const name of Object.keys(VARIABLES)) {
    expect(lines.filter((line) => line.replace(/^# /, '').startsWith(`${name}=`)).length, name).toBe(1)
  }
  const set = Object.fromEntries(lines.filter((line) => /^[A-Z_]+=/.test(line)).map((line) => line.split('=')))
  expect(readConfig(set)).toEqual(readConfig({}))
})
