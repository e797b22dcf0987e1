/**
 * `fetch` to an address that a tenant or a model named. It connects to public unicast addresses only (checked when
 * connecting, so a changing DNS answer gains nothing), checks each redirect again, and reads at most `maxBytes`.
 */
export type OutboundFetch = (url: string, options: OutboundOptions) => Promise<OutboundAnswer>

export interface OutboundOptions {
  signal: AbortSignal
  timeoutMs: number
  maxBytes: number
  headers?: Record<string, string>
}

export interface OutboundAnswer {
  /** The address that answered, after redirects. */
  url: string
  status: number
  contentType: string
  bytes: Uint8Array
  /** True when the body was longer than `maxBytes` and was cut. */
  truncated: boolean
}

/** Why a fetch was refused or failed. `refused`: the address is not one we connect to; the others may pass. */
export class OutboundError extends Error {
  readonly reason: 'refused' | 'unreachable' | 'timeout' | 'too_many_redirects'
  constructor(reason: OutboundError['reason'], message: string) {
    super(message)
    this.name = 'OutboundError'
    this.reason = reason
  }
}
