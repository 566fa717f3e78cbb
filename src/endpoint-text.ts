/** Endpoints as text, both ways: what a configuration names becomes bytes, and what a peer roamed to is shown again. */
import { readFileSync } from 'node:fs';
import type { NumericEndpoint } from './control/config-types.ts';
import { formatAddress, parseAddress } from './control/ip-text.ts';
import { GigatunError } from './errors.ts';
import type { Endpoint } from './packet/endpoint.ts';

/**
 * The endpoint that a configuration names.
 *
 * @throws GigatunError CONFIG for an address that is not numeric, NOT_FOUND for a zone that is no interface of this host
 */
export function endpointOf({ address, port }: NumericEndpoint): Endpoint {
  const [numeric = '', zone] = address.split('%');
  const bytes = parseAddress(numeric);
  if (bytes === null)
    throw new GigatunError('CONFIG', `expected a numeric endpoint address, got '${address}': resolve names first`);
  const scope = zone === undefined ? 0 : scopeOf(zone);
  return { family: bytes.length === 4 ? 4 : 6, address: bytes, port, scope, localAddress: null, localInterface: 0 };
}

/** The same of several, without those whose zone is no interface of this host (any more). */
export function endpointsOf(endpoints: readonly NumericEndpoint[]): Endpoint[] {
  return endpoints.flatMap((endpoint) => {
    try {
      return [endpointOf(endpoint)];
    } catch (error) {
      if (error instanceof GigatunError && error.code === 'NOT_FOUND') return [];
      throw error;
    }
  });
}

/** Writes `address:port`, an IPv6 address in brackets; a link-local one with its zone, without which it says nothing. */
export function formatEndpoint(endpoint: Endpoint): string {
  const { address, port } = numericEndpointOf(endpoint);
  return endpoint.family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}

/** The endpoint as a configuration would name it; the local address to send from is not part of that. */
export function numericEndpointOf({ address, port, scope }: Endpoint): NumericEndpoint {
  const zone = isLinkLocal(address) && scope !== 0 ? `%${scope}` : '';
  return { address: `${formatAddress(address)}${zone}`, port };
}

/** Interface index of an IPv6 zone: a number, or the name of an interface of this host. */
function scopeOf(zone: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  try {
    return Number(readFileSync(`/sys/class/net/${zone}/ifindex`, 'utf8'));
  } catch (cause) {
    throw new GigatunError('NOT_FOUND', `expected an interface of this host behind '%', got '${zone}'`, { cause });
  }
}

/** fe80::/10 (RFC 4291, section 2.5.6). */
function isLinkLocal([first = 0, second = 0]: Uint8Array): boolean {
  return first === 0xfe && (second & 0xc0) === 0x80;
}
