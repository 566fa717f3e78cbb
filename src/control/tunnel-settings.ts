/** What a start and a reload make of a file before they touch anything: peers, mark and MTU as they will be. */
import { GigatunError } from '../errors.ts';
import { FEC_MTU_BYTES, type HistorySettings, historyMemoryOf, needsOneLane } from '../history/settings.ts';
import type { MemoryUse } from '../memory/budget.ts';
import type { Applied } from './applied.ts';
import { autoLanes } from './auto-lanes.ts';
import type { RunCommand } from './command.ts';
import { MTU_MIN_IPV6 } from './config-limits.ts';
import type {
  IpPrefix,
  LaneChoice,
  NumericEndpoint,
  PeerConfig,
  PeerFileConfig,
  TunnelConfig,
} from './config-types.ts';
import { findFreeTable } from './link-facts.ts';
import { needsMark } from './link-plan.ts';

/** Where neither the command line nor the file says anything. */
export const LANES_DEFAULT = 1;

/** A peer's settings for sending more than once, names looked up or not. */
type WithHistory = { readonly history?: Omit<HistorySettings, 'paths'> | null };

/**
 * Number of lanes: as chosen; `auto` is one where a peer's counters must all be seen by one lane.
 *
 * @param choice null: nothing is said
 * @throws GigatunError CONFIG for a number that a peer's settings do not allow
 */
export function chooseLanes(choice: LaneChoice | null, peers: readonly WithHistory[]): number {
  const isOne = peers.some(({ history = null }) => history !== null && needsOneLane(history));
  if (choice === 'auto') return isOne ? 1 : autoLanes();
  const lanes = choice ?? LANES_DEFAULT;
  if (lanes > 1 && isOne) throw oneLaneError(lanes);
  return lanes;
}

/** For settings of a peer that work with one lane only. */
export function oneLaneError(lanes: number): GigatunError {
  return new GigatunError(
    'CONFIG',
    `expected one lane for Retransmit, InOrder, Fec and PathMode weighted, got ${lanes} lanes; ` +
      'set Lanes to 1 or auto, or leave those settings out',
  );
}

/** What memory is reckoned by. */
export function memoryUse(lanes: number, peers: readonly WithHistory[]): MemoryUse {
  return { lanes, peers: peers.length, historyBytes: historyMemoryOf(peers.flatMap(({ history }) => history ?? [])) };
}

/** What a derived MTU must leave free, bytes. */
export function mtuReserve(peers: readonly WithHistory[]): number {
  return peers.some(({ history = null }) => history !== null && history.fec.mode !== 'off') ? FEC_MTU_BYTES : 0;
}

/** All numeric endpoints that a peer is reached at. */
export function endpointsOf({ endpoint, history = null }: Pick<PeerConfig, 'endpoint' | 'history'>): NumericEndpoint[] {
  const ofPaths = history?.paths.flatMap((path) => path.endpoint ?? []) ?? [];
  return endpoint === null ? ofPaths : [endpoint, ...ofPaths];
}

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
