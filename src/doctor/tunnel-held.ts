/** What a tunnel found broken and leaves out for a while: offloads of this machine, and datagram groups that a path does not carry. */
import { about, type Finding } from './check.ts';
import type { TunnelFacts } from './tunnel-facts.ts';

/** Peers that are named; the others are counted. */
const PEERS_NAMED = 3;

/** Nothing where nothing is held back. */
export function judgeHeld({ status }: TunnelFacts): Finding[] {
  return [...judgeHeldOffloads(status.heldOffloads), ...judgeHeldGroups(status.peers)];
}

function judgeHeldOffloads(held: TunnelFacts['status']['heldOffloads']): Finding[] {
  if (held.length === 0) return [];
  const value = held.map(({ offload, lane }) => `${offload} on lane ${lane}`).join(', ');
  const reasons = [...new Set(held.map(({ reason }) => reason))].join('; ');
  const soonest = Math.min(...held.map(({ retrySeconds }) => retrySeconds));
  const check = about('offloads-held', 'offloads left out', value);
  return [
    check.warn(
      `${reasons}; tried again in ${soonest} s`,
      'update the kernel or the driver of the device, or switch the offload off for good: #gigatun: Offloads',
    ),
  ];
}

function judgeHeldGroups(peers: TunnelFacts['status']['peers']): Finding[] {
  const held = peers.filter(({ groupRetrySeconds }) => groupRetrySeconds !== null);
  if (held.length === 0) return [];
  const named = held.slice(0, PEERS_NAMED).map(({ publicKey, groupDatagramsMax, groupShortTail }) => {
    const tail = groupShortTail || groupDatagramsMax === 1 ? '' : ' of equal length';
    return `${publicKey} at most ${groupDatagramsMax}${tail}`;
  });
  const more = held.length > PEERS_NAMED ? `, and ${held.length - PEERS_NAMED} more` : '';
  const check = about('groups-held', 'datagrams per group', `${named.join(', ')}${more}`);
  return [
    check.note(
      'the path drops or damages larger groups: more system calls per packet until they are tried again',
      'look for a device on the way that mishandles UDP GSO or GRO; gigatun show tells when they are tried again',
    ),
  ];
}
