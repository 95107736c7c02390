import { BlockList, isIP } from 'node:net';
import { AppError } from '../../base/errors.ts';

/**
 * Where webhooks may go. Callers name addresses, and we are the ones who connect from inside the network; so an address
 * needs the operator's word.
 *
 * W1. A caller's url needs an entry of the allow list; the operator's own url needs none.
 * W2. Loopback, private and other addresses that are not the internet's are connected to only under an entry that names
 *     the host exactly. What counts is the address that is connected to, not the name, so a name that is pointed
 *     elsewhere later helps nobody.
 * W3. Redirects are not followed.
 */
export interface WebhookPolicy {
  /** The operator's receiver, for batches without one of their own; null: none. */
  readonly url: string | null;
  /** `host`, `host:port`, `*.domain`, or `*` for all of the internet. */
  readonly allow: readonly string[];
}

const schemes: Readonly<Record<string, string>> = { 'https:': '443', 'http:': '80' };

/** A caller's url that may be used. @throws `input.invalid-request` saying what is wrong with it */
export function checkWebhookUrl(text: string, policy: WebhookPolicy, param = 'metadata.webhook_url'): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const shown = JSON.stringify(text.slice(0, 200));
  if (url === undefined || schemes[url.protocol] === undefined) {
    throw new AppError('input.invalid-request', `${param} is ${shown}; it must be an http or https url`, { param });
  }
  if (url.username !== '' || url.password !== '') {
    throw new AppError('input.invalid-request', `${param} must not hold a user name or password`, { param });
  }
  if (allowedBy(url, policy) !== undefined) return;
  const allowed = policy.allow.length === 0 ? 'none is allowed here' : `allowed: ${policy.allow.join(', ')}`;
  throw new AppError('input.invalid-request', `${param} names host ${JSON.stringify(url.host)}; ${allowed}`, { param });
}

/** May we connect to this address for this url? The last look, with the address that the name stands for now. */
export function mayConnect(url: URL, address: string, policy: WebhookPolicy): boolean {
  if (policy.url !== null && url.href === new URL(policy.url).href) return true;
  const entry = allowedBy(url, policy);
  if (entry === undefined) return false;
  return isPublicAddress(address) || !entry.includes('*');
}

/** The entry that names the host most exactly. */
function allowedBy(url: URL, { allow }: WebhookPolicy): string | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = url.port === '' ? schemes[url.protocol] : url.port;
  const withPort = isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
  const matches = (entry: string): boolean => {
    if (entry === '*') return true;
    if (entry.startsWith('*.')) return host.endsWith(entry.slice(1));
    return entry === host || entry === `[${host}]` || entry === withPort;
  };
  const found = allow.map((entry) => entry.toLowerCase()).filter(matches);
  return found.find((entry) => !entry.includes('*')) ?? found[0];
}

/** What IANA's registries of special addresses keep from the internet. */
const special = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  special.addSubnet(net, bits, 'ipv4');
}
/** The one block of IPv6 that is given out as the internet's. */
const global6 = new BlockList();
global6.addSubnet('2000::', 3, 'ipv6');
for (const [net, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
] as const) {
  special.addSubnet(net, bits, 'ipv6');
}

/** Is this an address of the internet? Text that is no address is not. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special.check(address, 'ipv4');
    case 6: {
      // what is written as IPv6 and means IPv4 is not global in this sense, so it is refused
      return global6.check(address, 'ipv6') && !special.check(address, 'ipv6');
    }
    default:
      return false;
  }
}
