import ipaddr from 'ipaddr.js'

/** Parsed addresses and CIDR ranges. */
export type AddressRanges = readonly [ipaddr.IPv4 | ipaddr.IPv6, number][]

/**
 * Reads a list of addresses and CIDR ranges.
 *
 * @throws with the entry that is neither
 */
export function parseAddressRanges(entries: readonly string[]): AddressRanges {
  return entries.map((entry) => {
    if (!isAddressOrRange(entry)) throw new Error(`${entry} is neither an address nor a CIDR range`)
    if (entry.includes('/')) return unmapped(ipaddr.parseCIDR(entry))
    const address = ipaddr.process(entry)
    return [address, address.kind() === 'ipv4' ? 32 : 128]
  })
}

/** IPv4 in four decimal numbers only: `10/8` would be read as 0.0.0.10/8, and `010.0.0.1` as 8.0.0.1. */
export function isAddressOrRange(text: string): boolean {
  if (text.includes(':')) return ipaddr.IPv6.isValidCIDR(text) || ipaddr.IPv6.isValid(text)
  return ipaddr.IPv4.isValidCIDRFourPartDecimal(text) || ipaddr.IPv4.isValidFourPartDecimal(text)
}

/** `::ffff:10.0.0.0/104` is 10.0.0.0/8, because a caller's mapped address is its IPv4 one. */
function unmapped([address, bits]: AddressRanges[number]): AddressRanges[number] {
  if (address.kind() === 'ipv4' || bits < 96 || !(address as ipaddr.IPv6).isIPv4MappedAddress()) return [address, bits]
  return [(address as ipaddr.IPv6).toIPv4Address(), bits - 96]
}

/**
 * The caller's address. `X-Forwarded-For` counts only as far as trusted proxies wrote it: read from the right, the
 * first address that is not one of them.
 */
export function clientAddress(socketAddress: string, forwardedFor: string | undefined, trusted: AddressRanges): string {
  let address = normal(socketAddress)
  if (trusted.length === 0 || forwardedFor === undefined) return address
  const hops = forwardedFor.split(',').map((hop) => hop.trim())
  while (isInRanges(address, trusted)) {
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

/** Whether an address lies in one of these ranges. */
export function isInRanges(address: string, ranges: AddressRanges): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.process(address)
  return ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match(range as never, bits))
}
