import type { z } from 'zod'

/** What went wrong, in a word that knows no protocol. `kit/http` maps each kind to its HTTP status. */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'payment_required'
  | 'forbidden'
  | 'not_found'
  | 'method_not_allowed'
  | 'conflict'
  | 'too_large'
  | 'unsupported_type'
  | 'unprocessable'
  | 'too_many'
  | 'upstream'
  | 'unavailable'

/** An error its thrower declared. Its code, message and details may be shown to the caller as they are. */
export abstract class ProductError extends Error {
  abstract readonly code: string
  abstract readonly kind: ErrorKind
  readonly details: unknown
  /** Seconds after which the same call may succeed; sent as `Retry-After`. */
  readonly retryAfterSeconds: number | undefined

  constructor(message: string, details: unknown, retryAfterSeconds: number | undefined) {
    super(message)
    this.details = details
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** Whoever embeds us does not let this caller: a quota is used up, the tenant suspended. A person can cure it. */
export function isRefusal(error: unknown): error is ProductError {
  return error instanceof ProductError && error.kind === 'forbidden'
}

export interface ErrorDeclaration {
  readonly code: string
  readonly kind: ErrorKind
  readonly message: string
  readonly details?: z.ZodType
}

interface ThrowOptions {
  message?: string
  retryAfterSeconds?: number
}

export interface ErrorClass<Details> extends ErrorDeclaration {
  new (
    ...args: unknown extends Details
      ? [details?: null, options?: ThrowOptions]
      : [details: Details, options?: ThrowOptions]
  ): ProductError
}

/**
 * Declares an error once; it can then be thrown, sent and documented.
 *
 * @param declaration.code     stable snake_case word that clients branch on
 * @param declaration.message  one sentence for people; a throw may say it more exactly
 * @param declaration.details  the shape of `details` on the wire; none when left out
 */
export function defineError<S extends z.ZodType = z.ZodUnknown>(declaration: {
  code: string
  kind: ErrorKind
  message: string
  details?: S
}): ErrorClass<z.output<S>> {
  const { code, kind, message: sentence } = declaration
  class Declared extends ProductError {
    static readonly code = code
    static readonly kind = kind
    static readonly message = sentence
    static readonly details = declaration.details
    readonly code = code
    readonly kind = kind
    constructor(details: unknown = null, options: ThrowOptions = {}) {
      super(options.message ?? sentence, details, options.retryAfterSeconds)
      this.name = code
    }
  }
  return Declared as unknown as ErrorClass<z.output<S>>
}
