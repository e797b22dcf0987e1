/** An error as log lines show it, without any API key its message may quote. */
export function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: withoutKeys(String(error)) }
  const { name: type, message, stack = '', cause } = error
  const { code } = error as { code?: unknown }
  return {
    type,
    ...(code === undefined ? {} : { code }),
    message: withoutKeys(message),
    stack: withoutKeys(stack),
    ...(cause === undefined ? {} : { cause: describeError(cause) }),
  }
}

/** The fields of a log line with every API key in their texts cut out. */
export function fieldsWithoutKeys(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? withoutKeys(value) : value]),
  )
}

export function withoutKeys(text: string): string {
  return text.includes('desi_sk_') ? text.replaceAll(/desi_sk_\w+/g, 'desi_sk_[cut]') : text
}
