import { z } from 'zod'
import { PROVIDERS, type ProviderName } from '#desiagent/models/providers.ts'
import type { ModelSettings } from '#desiagent/models/registry.ts'
import { type AddressRanges, parseAddressRanges } from '#kit/http/client-address.ts'

/** One environment variable: how it is read, and what `.env.example` says of it. */
interface Variable<T> {
  schema: z.ZodType<T>
  /** As it would be written in the environment. Empty: none. */
  fallback: string
  /** What it means, with its unit. */
  help: string
  /** Who reads it. */
  readBy: 'node' | 'all'
}

const text = z.string()
const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, 'is not a whole number')
    .transform(Number)
    .pipe(z.int().min(min, `is below ${min}`).max(max, `is above ${max}`))
const oneOf = <const T extends readonly string[]>(words: T) => z.enum(words, `is not one of ${words.join(', ')}`)
const optional = <T>(schema: z.ZodType<T>) => z.union([z.literal('').transform(() => undefined), schema])
const list = text.transform((value) =>
  value
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== ''),
)
const hostAndPort = z.string().regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):\d{1,5}$/)
const origin = z.string().refine((text) => text === '*' || (URL.canParse(text) && new URL(text).origin === text))
const listOf = (entry: z.ZodType<string>, problem: string) =>
  list.refine((entries) => entries.every((text) => entry.safeParse(text).success), problem)
const baseUrl = optional(z.url({ protocol: /^https?$/, error: 'is not an http or https address' }))
const secret = optional(text)
const sender = optional(
  z
    .string()
    .regex(/^([^<>\r\n]*<[^<>\s@]+@[^<>\s@]+>|[^<>\s@]+@[^<>\s@]+)$/, 'is neither an address nor Name <address>'),
)
const linkWithToken = optional(
  z
    .url({ protocol: /^https?$/, error: 'is not an http or https address' })
    .refine((link) => link.includes('{token}'), 'has no {token} in it'),
)

function variable<T>(
  schema: z.ZodType<T>,
  fallback: string,
  help: string,
  readBy: 'node' | 'all' = 'all',
): Variable<T> {
  return { schema, fallback, help, readBy }
}

/** Every variable the product reads. `.env.example` is printed from this table. */
export const VARIABLES = {
  HOST: variable(text.min(1, 'is empty'), '127.0.0.1', 'Address to listen on.', 'node'),
  PORT: variable(whole(0, 65_535), '3000', 'Port to listen on; 0 takes a free one.', 'node'),
  NODE_ENV: variable(oneOf(['development', 'production', 'test']), 'development', 'What kind of deployment this is.'),
  DESI_DATA_DIR: variable(text, '', 'Folder of the databases and files. Empty: ~/.desiAgent.', 'node'),
  LOG_LEVEL: variable(
    oneOf(['debug', 'info', 'warn', 'error', 'silent']),
    'info',
    'The least severe log line that is written.',
  ),

  LLM_PROVIDER: variable(
    optional(oneOf(PROVIDERS)),
    '',
    'Model provider when a request names none. Empty: the first one with a key below, else offline.',
  ),
  LLM_MODEL: variable(optional(text), '', "Model of that provider. Empty: the provider's usual one."),
  OPENAI_API_KEY: variable(secret, '', 'Key for OpenAI, or for the server at OPENAI_BASE_URL.'),
  OPENAI_BASE_URL: variable(baseUrl, '', 'Any server that speaks OpenAI’s chat completions. Empty: OpenAI.'),
  ANTHROPIC_API_KEY: variable(secret, '', 'Key for Anthropic.'),
  ANTHROPIC_BASE_URL: variable(baseUrl, '', 'Empty: Anthropic.'),
  GOOGLE_API_KEY: variable(secret, '', 'Key for Google Gemini.'),
  GOOGLE_BASE_URL: variable(baseUrl, '', 'Empty: Google.'),
  OPENROUTER_API_KEY: variable(secret, '', 'Key for OpenRouter.'),
  OPENROUTER_BASE_URL: variable(baseUrl, '', 'Empty: OpenRouter.'),
  OLLAMA_BASE_URL: variable(baseUrl, '', 'An Ollama server, for example http://127.0.0.1:11434/v1. Empty: none.'),
  OPENAI_MODEL: variable(optional(text), '', 'Another name of LLM_MODEL when the provider is openai.'),
  OPENROUTER_MODEL: variable(optional(text), '', 'Another name of LLM_MODEL when the provider is openrouter.'),
  OLLAMA_MODEL: variable(optional(text), '', 'Another name of LLM_MODEL when the provider is ollama.'),

  API_KEY_ENV: variable(oneOf(['live', 'test']), 'live', 'The word in the API keys made and accepted here.'),
  API_KEY_BCRYPT_COST: variable(
    whole(4, 15),
    '6',
    'bcrypt cost of API key hashes. 6 takes 4 ms; keys have 190 random bits and need no more.',
  ),
  BCRYPT_COST: variable(whole(4, 15), '10', 'bcrypt cost of password hashes.'),
  BODY_LIMIT_BYTES: variable(whole(1_000, 100_000_000), '2000000', 'Largest request body, in bytes.'),
  CORS_ORIGINS: variable(
    listOf(origin, 'has an entry that is no origin such as https://app.example.com'),
    '',
    'Origins browsers may call from, with commas; * for all. Empty: none.',
  ),
  TRUSTED_PROXIES: variable(
    list,
    '',
    'Addresses and CIDR ranges of proxies whose X-Forwarded-For is believed, with commas.',
    'node',
  ),
  RATE_LIMIT_ADDRESS_PER_MINUTE: variable(
    whole(1, 1_000_000),
    '120',
    'Anonymous and failed calls a minute and address.',
  ),
  RATE_LIMIT_API_PER_MINUTE: variable(whole(1, 1_000_000), '100', 'Calls a minute and API key.'),
  RATE_LIMIT_AUTH_PER_MINUTE: variable(
    whole(1, 1_000_000),
    '10',
    'Calls a minute and API key that make or end credentials.',
  ),
  RATE_LIMIT_EXECUTE_PER_MINUTE: variable(
    whole(1, 1_000_000),
    '20',
    'Calls a minute and API key that plan or start work.',
  ),

  SMTP_HOST: variable(
    optional(text),
    '',
    'Mail server that sends invitations. Empty: none; who invites is shown the token.',
    'node',
  ),
  SMTP_PORT: variable(
    whole(1, 65_535),
    '587',
    'Its port. 465 speaks TLS from the start; on others STARTTLS is used when the server offers it.',
    'node',
  ),
  SMTP_USER: variable(optional(text), '', 'Its user. Empty: mail is sent without logging in.', 'node'),
  SMTP_PASS: variable(secret, '', 'Password of that user.', 'node'),
  SMTP_FROM: variable(sender, '', 'Sender of the mail: an address, or Name <address>. Needed with SMTP_HOST.', 'node'),
  INVITE_URL: variable(
    linkWithToken,
    '',
    'Where the link in an invitation leads; {token} is replaced. Empty: the mail holds the token alone.',
  ),

  SQLITE_SYNCHRONOUS: variable(
    oneOf(['NORMAL', 'FULL']),
    'NORMAL',
    'NORMAL survives a killed process whole and may lose the last commits when the power fails; FULL closes that too, for a disk sync a commit.',
    'node',
  ),
  MAX_OPEN_TENANTS: variable(whole(1, 10_000), '200', 'Tenant databases held open at once.', 'node'),
  MAX_CONCURRENT_EXECUTIONS: variable(whole(1, 10_000), '50', 'Executions that run at once in this process.', 'node'),
  MAX_CONCURRENT_EXECUTIONS_PER_TENANT: variable(
    whole(1, 10_000),
    '50',
    'Of these, executions of one tenant. Tenants that wait are served in turn, between two sub-steps of the others.',
    'node',
  ),
  MAX_STREAMS_PER_TENANT: variable(
    whole(1, 100_000),
    '1000',
    'Event streams and exports of one tenant that are open at once in this process.',
  ),
  MAX_PARALLEL_SUB_STEPS: variable(whole(1, 100), '8', 'Sub-steps of one execution that run at once.'),
  STEP_TIMEOUT_MS: variable(
    whole(100, 3_600_000),
    '120000',
    'How long one call of a model or tool may take, in milliseconds.',
  ),
  RETRY_BASE_MS: variable(
    whole(1, 60_000),
    '500',
    'First pause before a failed call is repeated, in milliseconds; it doubles.',
  ),
  OUTBOUND_ALLOW: variable(
    listOf(hostAndPort, 'has an entry that is not host:port'),
    '',
    'Exceptions to "public addresses only" for what tenants let tools fetch: host:port with commas.',
    'node',
  ),
  MIN_FREE_DISK_BYTES: variable(
    whole(0, 1_000_000_000_000_000),
    '100000000',
    'With less room on the disk of the data folder, in bytes, the server calls itself not ready.',
    'node',
  ),
  SHUTDOWN_GRACE_MS: variable(
    whole(0, 600_000),
    '10000',
    'How long a stopping server waits for requests and running sub-steps, in milliseconds.',
    'node',
  ),
} satisfies Record<string, Variable<unknown>>

type Values = { [K in keyof typeof VARIABLES]: (typeof VARIABLES)[K] extends Variable<infer T> ? T : never }

export interface MailSettings {
  host: string
  port: number
  login: { user: string; pass: string } | null
  from: string
}

export interface Config extends Omit<Values, 'TRUSTED_PROXIES'> {
  TRUSTED_PROXIES: AddressRanges
  models: ModelSettings
  /** Null: none is sent. */
  mail: MailSettings | null
}

/** A variable is wrong; the message is one sentence that names it and never shows its value. */
export class ConfigError extends Error {}

/**
 * Reads the environment.
 *
 * @throws ConfigError naming the first variable that is wrong
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const values = Object.fromEntries(
    Object.entries(VARIABLES).map(([name, spec]) => [name, read(name, spec, env[name])]),
  ) as Values
  return {
    ...values,
    TRUSTED_PROXIES: trustedProxies(values.TRUSTED_PROXIES),
    models: modelSettings(values),
    mail: mailSettings(values),
  }
}

function read(name: string, { schema, fallback }: Variable<unknown>, given: string | undefined): unknown {
  const parsed = schema.safeParse(given === undefined || given.trim() === '' ? fallback : given.trim())
  if (parsed.success) return parsed.data
  throw new ConfigError(`${name} ${reason(parsed.error)}.`)
}

/** A union reports its branches; the last one is the real schema, the first only allows an empty value. */
function reason({ issues: [issue] }: z.ZodError): string {
  if (issue?.code !== 'invalid_union') return issue?.message ?? 'is wrong'
  return issue.errors.at(-1)?.[0]?.message ?? 'is wrong'
}

function trustedProxies(entries: string[]): AddressRanges {
  try {
    return parseAddressRanges(entries)
  } catch {
    throw new ConfigError('TRUSTED_PROXIES has an entry that is neither an address nor a CIDR range.')
  }
}

function mailSettings(values: Values): MailSettings | null {
  const { SMTP_HOST: host, SMTP_PORT: port, SMTP_USER: user, SMTP_PASS: pass, SMTP_FROM: from } = values
  if (host === undefined) return null
  if (from === undefined) throw new ConfigError('SMTP_HOST is set, but SMTP_FROM is not.')
  if (user === undefined) return { host, port, login: null, from }
  if (pass === undefined) throw new ConfigError('SMTP_USER is set, but SMTP_PASS is not.')
  return { host, port, login: { user, pass }, from }
}

function modelSettings(values: Values): ModelSettings {
  const providers: ModelSettings['providers'] = {}
  if (values.OPENAI_API_KEY || values.OPENAI_BASE_URL) {
    providers.openai = { apiKey: values.OPENAI_API_KEY, baseUrl: values.OPENAI_BASE_URL }
  }
  if (values.ANTHROPIC_API_KEY)
    providers.anthropic = { apiKey: values.ANTHROPIC_API_KEY, baseUrl: values.ANTHROPIC_BASE_URL }
  if (values.GOOGLE_API_KEY) providers.google = { apiKey: values.GOOGLE_API_KEY, baseUrl: values.GOOGLE_BASE_URL }
  if (values.OPENROUTER_API_KEY)
    providers.openrouter = { apiKey: values.OPENROUTER_API_KEY, baseUrl: values.OPENROUTER_BASE_URL }
  if (values.OLLAMA_BASE_URL) providers.ollama = { baseUrl: values.OLLAMA_BASE_URL }

  const first = PROVIDERS.find((name) => name === 'offline' || providers[name]) ?? 'offline'
  const defaultProvider: ProviderName = values.LLM_PROVIDER ?? first
  if (defaultProvider !== 'offline' && !providers[defaultProvider]) {
    const missing = defaultProvider === 'ollama' ? 'OLLAMA_BASE_URL' : `${defaultProvider.toUpperCase()}_API_KEY`
    throw new ConfigError(`LLM_PROVIDER is ${defaultProvider}, but ${missing} is not set.`)
  }
  return { defaultProvider, defaultModel: values.LLM_MODEL ?? ownModelName(values, defaultProvider), providers }
}

function ownModelName(values: Values, provider: ProviderName): string | undefined {
  if (provider === 'openai') return values.OPENAI_MODEL
  if (provider === 'openrouter') return values.OPENROUTER_MODEL
  return provider === 'ollama' ? values.OLLAMA_MODEL : undefined
}

/** Every secret in the configuration, for whoever must keep them out of something. */
export function secretsOf(config: Config): string[] {
  const names = Object.keys(VARIABLES) as (keyof typeof VARIABLES)[]
  return names.filter((name) => VARIABLES[name].schema === secret).flatMap((name) => (config[name] as string) || [])
}

/** The text of `.env.example`. */
export function printEnvExample(): string {
  const lines = Object.entries(VARIABLES).map(([name, { fallback, help, readBy }]) => {
    const reader = readBy === 'node' ? 'Node only. ' : ''
    return `# ${reader}${help}\n${fallback === '' ? '# ' : ''}${name}=${fallback}\n`
  })
  return `# Copy to .env, which \`npm start\` reads. Every variable is optional; the values here are the defaults.\n\n${lines.join('\n')}`
}
