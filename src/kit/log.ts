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

export function withoutKeys(text: string): string {
  return text.includes('desi_') ? text.replaceAll(/desi_(sk|inv)_\w+/g, 'desi_$1_[cut]') : text
}
