import { type LookupAddress, type LookupAllOptions, lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'
import { buildConnector } from 'undici'
import { OutboundError } from '#ports/outbound-fetch.ts'

/** A resolver in the shape of `dns.lookup` with `all: true`. */
export type LookupAll = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

interface GuardOptions {
  /** Exact `host:port` entries that may be reached at whatever address they have. */
  allow: readonly string[]
  lookup?: LookupAll | undefined
}

const CONNECT_TIMEOUT_MS = 10_000
const GLOBAL_IPV6: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3]

/**
 * A connector for undici that opens sockets to public unicast addresses only. It judges the addresses that the socket
 * is about to use, so a name that resolves differently the second time gains nothing.
 */
export function guardedConnector({ allow, lookup = systemLookup }: GuardOptions): buildConnector.connector {
  const allowed = new Set(allow.map((entry) => entry.toLowerCase()))
  // HTTP/2 is left out: one page needs no multiplexing, and the second protocol would be a second surface.
  const common = { timeout: CONNECT_TIMEOUT_MS, allowH2: false }
  const connectAnywhere = buildConnector({ ...common, lookup: lookupWith(lookup, () => true) })
  const connectPublic = buildConnector({ ...common, lookup: lookupWith(lookup, isPublicAddress) })

  return (options, callback) => {
    if (allowed.has(hostAndPort(options))) return connectAnywhere(options, callback)
    // A socket to a literal address never asks the lookup.
    if (isIP(options.hostname) && !isPublicAddress(options.hostname)) return callback(notPublic(), null)
    return connectPublic(options, callback)
  }
}

/** Whether `address` is a canonical IP address in the public unicast space of IPv4 or IPv6. */
export function isPublicAddress(address: string): boolean {
  // ipaddr.js also reads `0x7f.1` and `010.8.8.8`; what the system might read differently is not judged but refused.
  if (!isIP(address)) return false
  const parsed = ipaddr.process(address) // IPv4-mapped IPv6 is judged as the IPv4 address that it reaches
  if (parsed.range() !== 'unicast') return false
  // 2000::/3 is all that is handed out. ipaddr.js calls everything without a name 'unicast', `::7f00:1` among it.
  return parsed.kind() === 'ipv4' || parsed.match(GLOBAL_IPV6)
}

/** Answers only if every address of the name is accepted: a name that mixes public and internal ones is no accident. */
function lookupWith(lookup: LookupAll, accepts: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? []
      if (error || !first) return callback(error ?? new Error('The name has no address.'), '')
      if (!addresses.every(({ address }) => accepts(address))) return callback(notPublic(), '')
      if (options.all) return callback(null, addresses)
      return callback(null, first.address, first.family)
    })
  }
}

function hostAndPort({ protocol, hostname, port }: buildConnector.Options): string {
  const host = isIP(hostname) === 6 ? `[${hostname}]` : hostname
  return `${host}:${port || (protocol === 'https:' ? 443 : 80)}`
}

/** Says nothing about the address itself: the answer must not map the inside for whoever asks. */
function notPublic(): OutboundError {
  return new OutboundError('refused', 'This address is not public.')
}
