import ipaddr from 'ipaddr.js'

export type TrustedProxies = readonly [ipaddr.IPv4 | ipaddr.IPv6, number][]

/**
 * Reads a list of addresses and CIDR ranges.
 *
 * @throws with the entry that is neither
 */
export function parseTrustedProxies(entries: readonly string[]): TrustedProxies {
  return entries.map((entry) => {
    if (ipaddr.isValidCIDR(entry)) return ipaddr.parseCIDR(entry)
    if (!ipaddr.isValid(entry)) throw new Error(`${entry} is neither an address nor a CIDR range`)
    const address = ipaddr.process(entry)
    return [address, address.kind() === 'ipv4' ? 32 : 128]
  })
}

/**
 * The caller's address. `X-Forwarded-For` counts only as far as trusted proxies wrote it: read from the right, the
 * first address that is not one of them.
 */
export function clientAddress(
  socketAddress: string,
  forwardedFor: string | undefined,
  trusted: TrustedProxies,
): string {
  let address = normal(socketAddress)
  if (trusted.length === 0 || forwardedFor === undefined) return address
  const hops = forwardedFor.split(',').map((hop) => hop.trim())
  while (isTrusted(address, trusted)) {
    const hop = hops.pop()
    if (hop === undefined || !ipaddr.isValid(hop)) return address
    address = normal(hop)
  }
  return address
}

/** What limits count by: an IPv4 address, or the /64 network of an IPv6 one, which is what one subscriber gets (RFC 6177). */
export function addressGroup(address: string): string {
  if (!address.includes(':') || !ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  if (parsed.kind() === 'ipv4') return parsed.toString()
  return `${(parsed as ipaddr.IPv6).parts
    .slice(0, 4)
    .map((part) => part.toString(16))
    .join(':')}::/64`
}

const DOTTED = /^[1-9]\d{0,2}(\.(0|[1-9]\d{0,2})){3}$/

/** One spelling for an address: `::ffff:127.0.0.1` is 127.0.0.1. */
function normal(address: string): string {
  if (DOTTED.test(address)) return address // what the socket of an IPv4 caller says is in its one spelling already
  return ipaddr.isValid(address) ? ipaddr.process(address).toString() : address
}

function isTrusted(address: string, trusted: TrustedProxies): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.process(address)
  return trusted.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match(range as never, bits))
}
