/*
 * Addresses as text have many forms, and Java writes others than Node: connections, access rules and quotas are compared in one of them. IPv4 is dotted
 * decimal, also where it comes in the clothes of IPv6; IPv6 is eight groups of hexadecimal digits without leading zeros.
 */

const OCTET = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);
const GROUP = /^[0-9a-f]{1,4}$/;
const GROUPS = 8;
const MAPPED_PREFIX = '0:0:0:0:0:ffff:';

/** The canonical form; undefined if it is no address. A zone (`%eth0`) does not count. */
export function canonicalAddress(text: string): string | undefined {
  const [address = ''] = text.toLowerCase().split('%', 1);
  if (IPV4.test(address)) return address;
  const groups = groupsOf(address);
  if (groups === undefined) return undefined;
  const canonical = groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':');
  return canonical.startsWith(MAPPED_PREFIX) ? mappedIpv4(groups) : canonical;
}

function groupsOf(address: string): readonly string[] | undefined {
  const halves = withoutDots(address)?.split('::');
  if (halves === undefined || halves.length > 2) return undefined;
  const [head = [], tail] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = GROUPS - head.length - (tail?.length ?? 0);
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => '0'), ...(tail ?? [])];
  return groups.every((group) => GROUP.test(group)) ? groups : undefined;
}

/** An IPv6 address may end in IPv4's form. */
function withoutDots(address: string): string | undefined {
  const at = address.lastIndexOf(':') + 1;
  const last = address.slice(at);
  if (!last.includes('.')) return address;
  if (at === 0 || !IPV4.test(last)) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = last.split('.').map(Number);
  return `${address.slice(0, at)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function mappedIpv4(groups: readonly string[]): string {
  return groups
    .slice(-2)
    .map((group) => Number.parseInt(group, 16))
    .flatMap((group) => [group >>> 8, group & 0xff])
    .join('.');
}
