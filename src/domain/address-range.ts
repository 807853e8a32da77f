/** The sixteen bits each of an IPv6 address, out of its canonical text. */
function groupsOf(canonical: string): number[] {
  const [before = '', after] = canonical.split('::')
  const read = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)))
  const [head, tail] = [read(before), read(after ?? '')]
  return after === undefined ? head : [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail]
}

/**
 * The network that most likely belongs to one holder: a /24 of IPv4 and a /48 of IPv6 (RFC 6177 §2), where `::ffff:192.0.2.1` is
 * 192.0.2.1. Undefined for what is no address.
 */
export function rangeOf(address: string): string | undefined {
  const text = address.replace(/%.*$/, '')
  const v4 = (bytes: readonly (number | string)[]) => `${bytes.slice(0, 3).join('.')}.0/24`
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return v4(text.split('.'))
  if (!text.includes(':') || !URL.canParse(`http://[${text}]`)) return undefined
  const groups = groupsOf(new URL(`http://[${text}]`).hostname.slice(1, -1))
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return v4([groups[6]! >> 8, groups[6]! & 0xff, groups[7]! >> 8])
  }
  return `${groups
    .slice(0, 3)
    .map((group) => group.toString(16))
    .join(':')}::/48`
}
