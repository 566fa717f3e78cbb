/** What a start and a reload make of a file before they touch anything: peers, mark and MTU as they will be. */
import { GigatunError } from '../errors.ts';
import type { Applied } from './applied.ts';
import type { RunCommand } from './command.ts';
import { MTU_MIN_IPV6 } from './config-limits.ts';
import type { IpPrefix, PeerFileConfig, TunnelConfig } from './config-types.ts';
import { findFreeTable } from './link-facts.ts';
import { needsMark } from './link-plan.ts';

/** Where neither the command line nor the file says anything. */
export const LANES_DEFAULT = 1;

/** The peers with what `[Interface]` says for all of them. */
export function effectivePeers({ peers, settings }: TunnelConfig): readonly PeerFileConfig[] {
  return settings.announces === false ? peers.map((peer) => ({ ...peer, announces: false })) : peers;
}

/** Whether the file's prefixes need a mark on the tunnel's own datagrams. */
export function hasDefaultRoute(config: TunnelConfig): boolean {
  return needsMark(
    config.interface,
    config.peers.flatMap(({ allowedIps }) => allowedIps),
  );
}

/**
 * The mark of the tunnel's own datagrams: the file's, or one that a default route makes necessary, or 0.
 *
 * @param before what is in use: a mark that was chosen stays.
 */
export async function chooseMark(config: TunnelConfig, before: Applied | null, run: RunCommand): Promise<number> {
  if (config.fwmark !== 0 || !hasDefaultRoute(config)) return config.fwmark;
  const chosen = before?.fileFwmark === 0 ? before.fwmark : 0;
  return chosen === 0 ? await findFreeTable(run) : chosen;
}

/** @throws GigatunError CONFIG for one that would take IPv6 away from an interface with an IPv6 address or route. */
export function checkMtu(mtu: number, { interface: link, peers }: TunnelConfig): void {
  if (mtu >= MTU_MIN_IPV6) return;
  const isIpv6 = ({ address }: IpPrefix): boolean => address.length === 16;
  const hasRoute = link.table !== 'off' && peers.some(({ allowedIps }) => allowedIps.some(isIpv6));
  if (!hasRoute && !link.addresses.some(isIpv6)) return;
  const what = hasRoute ? 'a route' : 'an address';
  throw new GigatunError(
    'CONFIG',
    `expected an MTU of at least ${MTU_MIN_IPV6}, got ${mtu}; the interface has ${what} of IPv6`,
  );
}
