import { describe, expect, test } from 'vitest'
import { addressGroup, clientAddress, parseAddressRanges } from '#kit/http/client-address.ts'

const trust = (...entries: string[]) => parseAddressRanges(entries)

describe('without trusted proxies', () => {
  test('the address is the socket’s, whatever the caller claims', () => {
    for (const claim of ['203.0.113.9', '127.0.0.1, 10.0.0.1', 'junk', '', undefined]) {
      expect(clientAddress('192.0.2.1', claim, [])).toBe('192.0.2.1')
    }
  })

  test('an address has one spelling', () => {
    expect(clientAddress('::ffff:192.0.2.1', undefined, [])).toBe('192.0.2.1')
    expect(clientAddress('::ffff:c000:201', undefined, [])).toBe('192.0.2.1')
    expect(clientAddress('2001:DB8:0:0:0:0:0:1', undefined, [])).toBe('2001:db8::1')
  })

  test('a socket without an address is one caller', () => {
    expect(clientAddress('unknown', '203.0.113.9', [])).toBe('unknown')
  })
})

describe('behind a trusted proxy', () => {
  const proxy = trust('10.0.0.0/8', '2001:db8:aa::/48')

  test('the last address the proxy wrote is the caller', () => {
    expect(clientAddress('10.0.0.1', '203.0.113.9', proxy)).toBe('203.0.113.9')
    expect(clientAddress('::ffff:10.0.0.1', '203.0.113.9', proxy)).toBe('203.0.113.9')
  })

  test('what the caller wrote in front of it does not count', () => {
    expect(clientAddress('10.0.0.1', '1.1.1.1, 127.0.0.1, 203.0.113.9', proxy)).toBe('203.0.113.9')
    expect(clientAddress('10.0.0.1', '10.9.9.9, 203.0.113.9', proxy)).toBe('203.0.113.9')
  })

  test('a chain of trusted proxies is walked to the first address outside', () => {
    expect(clientAddress('10.0.0.1', '1.1.1.1, 203.0.113.9, 10.0.0.3, 10.0.0.2', proxy)).toBe('203.0.113.9')
    expect(clientAddress('2001:db8:aa::1', '2001:DB8::0:9 , 10.0.0.2', proxy)).toBe('2001:db8::9')
  })

  test('mapped addresses in the chain are the IPv4 addresses they stand for', () => {
    expect(clientAddress('10.0.0.1', '::ffff:203.0.113.9', proxy)).toBe('203.0.113.9')
    expect(clientAddress('10.0.0.1', '203.0.113.9, ::ffff:10.0.0.7', proxy)).toBe('203.0.113.9')
  })

  test('junk ends the walk at the proxy that wrote it', () => {
    for (const junk of ['', 'unknown', '203.0.113.9:1234', '<b>', '999.1.1.1', '203.0.113.9, ,', '1.1.1.1, evil']) {
      expect(clientAddress('10.0.0.1', junk, proxy), junk).toBe('10.0.0.1')
    }
  })

  test('a chain of nothing but proxies ends at the first of them', () => {
    expect(clientAddress('10.0.0.1', '10.0.0.3, 10.0.0.2', proxy)).toBe('10.0.0.3')
  })

  test('a caller that is not the proxy is not believed', () => {
    expect(clientAddress('192.0.2.66', '203.0.113.9', proxy)).toBe('192.0.2.66')
    expect(clientAddress('2001:db8:ab::1', '203.0.113.9', proxy)).toBe('2001:db8:ab::1')
  })

  test('a header without end costs one walk and no more', () => {
    const long = Array.from({ length: 5_000 }, (_, i) => `10.1.${(i >> 8) & 255}.${i & 255}`).join(', ')
    expect(clientAddress('10.0.0.1', long, proxy)).toBe('10.1.0.0')
  })
})

describe('the list of trusted proxies', () => {
  test('takes addresses and ranges of both kinds', () => {
    const list = trust('192.0.2.7', '::1', '2001:db8::/32')
    expect(clientAddress('192.0.2.7', '203.0.113.9', list)).toBe('203.0.113.9')
    expect(clientAddress('192.0.2.8', '203.0.113.9', list)).toBe('192.0.2.8')
    expect(clientAddress('::1', '203.0.113.9', list)).toBe('203.0.113.9')
    expect(clientAddress('2001:db8:ffff::1', '203.0.113.9', list)).toBe('203.0.113.9')
  })

  test('takes a mapped address as the IPv4 address it is', () => {
    expect(clientAddress('192.0.2.7', '203.0.113.9', trust('::ffff:192.0.2.7'))).toBe('203.0.113.9')
  })

  test('refuses what is neither an address nor a range', () => {
    for (const entry of ['localhost', '10.0.0.0/33', '10.0.0/8/8', 'proxy.example', '*', '']) {
      expect(() => trust(entry), entry).toThrow(/neither an address nor a CIDR range/)
    }
  })
})

test('limits count an IPv6 caller by its /64, and every other one by its address', () => {
  expect(addressGroup('2001:db8:1:2:aaaa::1')).toBe(addressGroup('2001:db8:1:2:ffff:0:0:9'))
  expect(addressGroup('2001:db8:1:2::1')).not.toBe(addressGroup('2001:db8:1:3::1'))
  expect(addressGroup('192.0.2.1')).toBe('192.0.2.1')
  expect(addressGroup('::ffff:192.0.2.1')).toBe('192.0.2.1')
  expect(addressGroup('unknown')).toBe('unknown')
})
