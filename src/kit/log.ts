/** An error as log lines show it, without any API key its message may quote. */
export function describeError(error: Error): { type: string; message: string; stack: string } {
  return { type: error.name, message: withoutKeys(error.message), stack: withoutKeys(error.stack ?? '') }
}

export function withoutKeys(text: string): string {
  return text.replaceAll(/desi_sk_\w+/g, 'desi_sk_[cut]')
}
