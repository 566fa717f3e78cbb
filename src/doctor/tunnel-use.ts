/** What a tunnel uses of what the machine gives: lanes, cores, AEAD, offloads, batches, memory. */
import { booksTime, busyNsOf, ratio } from '../ledger/balance.ts';
import { ACTIVITIES, TRAFFIC } from '../ledger/catalog.ts';
import type { LaneSnapshot } from '../ledger/snapshot.ts';
import { formatBytes, formatNumber, formatPercent, formatSeconds } from '../ledger/table.ts';
import { NEAR_SHARE } from '../memory/budget.ts';
import { isAvailable } from './aead.ts';
import { about, type Finding } from './check.ts';
import { usableCores } from './cpu.ts';
import type { MachineFacts } from './facts.ts';
import { tunOffloadNames } from './tun.ts';
import { type TunnelFacts, tellingBooks, textField } from './tunnel-facts.ts';
import { judgeHeld } from './tunnel-held.ts';

/** From this share of its wall time on, a lane has no time left. */
export const FULL_LANE_SHARE = 0.9;
/** From this share of busy time without a core on, that is worth a warning. */
export const CORE_WAIT_SHARE_MAX = 0.1;
/** A tunnel that has dropped its privileges has no more capabilities than this. */
const NAMES_SHOWN_MAX = 2;
/** Shares of the cgroup's memory limit. */
const MEMORY_SHARE_MAX = 0.8;
/** Where an offload is in use, fewer packets a call than this mean that traffic comes singly. */
const PACKETS_PER_CALL_MIN = 4;

export function judgeUse(tunnel: TunnelFacts, machine: MachineFacts): Finding[] {
  return [
    judgeLanes(tunnel, machine),
    judgeCoreWait(tunnel),
    judgeAead(tunnel, machine),
    judgeOffloads(tunnel, machine),
    ...judgeHeld(tunnel),
    ...judgeBatching(tunnel),
    ...judgeCiphers(tunnel),
    judgeMemory(tunnel),
    ...judgeMemoryCap(tunnel),
    ...judgePrivileges(tunnel),
  ];
}

/** Lanes that move packets; the control lane and a lane without a clock book no time. */
export function bookedLanes(lanes: readonly LaneSnapshot[]): LaneSnapshot[] {
  return lanes.filter(booksTime);
}

/** Share of wall time in which the busiest lane worked or waited for a core; null where no time is booked. */
export function busiestShare(lanes: readonly LaneSnapshot[]): number | null {
  const shares = bookedLanes(lanes).map((lane) => ratio(busyNsOf(lane), lane.wallNs) ?? 0);
  return shares.length === 0 ? null : Math.min(1, Math.max(...shares));
}

/** Share of busy time in which lanes were ready to run and had no core; null where no time is booked. */
export function coreWaitShare(total: LaneSnapshot): number | null {
  const waitedNs = ACTIVITIES.reduce((sum, { name }) => sum + total.coreWaitNs[name], 0);
  return ratio(waitedNs, busyNsOf(total));
}

/** Cores that the tunnel's own process can have; its affinity and its cgroup are not the doctor's. */
export function coresOf({ process }: TunnelFacts, { cpu }: MachineFacts): number {
  const allowed = Math.min(cpu.coresOnline, process?.coresAllowed ?? cpu.coresAllowed);
  return usableCores({ coresAllowed: allowed, quotaCores: process?.quotaCores ?? null });
}

function judgeLanes(tunnel: TunnelFacts, machine: MachineFacts): Finding {
  const { lanes } = tunnel.status;
  const cores = coresOf(tunnel, machine);
  const share = busiestShare(tunnel.recent.lanes);
  const busy = share === null ? '' : `, ${lanes > 1 ? 'busiest ' : ''}${formatPercent(share, 0)} busy`;
  const check = about('lanes', 'lanes', `${lanes} on ${Math.round(cores * 100) / 100} cores${busy}`);
  if (lanes > Math.max(1, cores))
    return check.warn(
      'lanes without a core of their own wait for each other',
      `--lanes ${Math.max(1, Math.floor(cores))}`,
    );
  const starved = (coreWaitShare(tunnel.recent.total) ?? 0) >= CORE_WAIT_SHARE_MAX;
  if (share !== null && share >= FULL_LANE_SHARE && lanes < cores && !starved)
    return check.note('a lane is full and cores are left', `--lanes ${lanes + 1}: several flows spread over lanes`);
  if (share === null) return check.ok('how busy they are is not booked');
  return check.ok(share >= FULL_LANE_SHARE ? 'it is full, and so are the cores' : 'there is time left');
}

function judgeCoreWait(tunnel: TunnelFacts): Finding {
  const telling = tellingBooks(tunnel);
  const share = telling === null ? null : coreWaitShare(telling.books.total);
  if (telling === null || share === null)
    return about('core-wait', 'waits for a core', 'unknown').ok('too little has moved, or no time is booked');
  const check = about('core-wait', 'waits for a core', `${formatPercent(share)} of busy time ${telling.when}`);
  if (share < CORE_WAIT_SHARE_MAX) return check.ok('lanes run when they have work');
  return check.warn(
    'lanes had work and no core to do it',
    'free a core: fewer other programs, more cores, fewer lanes',
  );
}

function judgeAead({ status }: TunnelFacts, { aead }: MachineFacts): Finding {
  const check = about('aead-used', 'AEAD', status.aead);
  if (status.aead === 'openssl' && isAvailable(aead, 'ipsec-mb'))
    return check.warn(
      'ipsec-mb is there and faster: see cost',
      `start the tunnel again without GIGATUN_AEAD=openssl: gigatun down ${status.interface}, then up`,
    );
  return check.ok(status.aead === aead.chosen ? 'the fastest that is there' : 'the one that it was started with');
}

function judgeOffloads({ status }: TunnelFacts, { tun, udp }: MachineFacts): Finding {
  const { offloads } = status;
  const available = [
    ...tunOffloadNames(tun.features?.offloads ?? 0),
    ...(udp.families.some(({ datagramsMax }) => datagramsMax > 1) ? ['gso'] : []),
    ...(udp.families.some(({ exchange }) => exchange !== null && exchange.receives > 0) ? ['gro'] : []),
  ];
  const unused = available.filter((name) => !offloads.includes(name));
  const check = about('offloads-used', 'offloads', offloads.length === 0 ? 'none' : offloads.join(' '));
  if (unused.length === 0) return check.ok('all that this machine has');
  return check.warn(
    `not in use though this machine has them: ${unused.join(' ')}`,
    'they were switched off (#gigatun: Offloads) or taken back after failures (see its log); start it again to retry',
  );
}

/** One finding for each edge at which packets moved. */
function judgeBatching(tunnel: TunnelFacts): Finding[] {
  const telling = tellingBooks(tunnel);
  if (telling === null) return [];
  const { counts } = telling.books.total;
  const figures = TRAFFIC.flatMap(({ packets, io }) => {
    const perCall = ratio(counts[packets], counts[io]);
    return perCall === null ? [] : [{ packets, perCall }];
  });
  const value = figures.map(({ packets, perCall }) => `${packets} ${formatNumber(perCall, 1)}`).join(', ');
  const least = Math.min(...figures.map(({ perCall }) => perCall));
  const check = about('batching', 'packets per call', value);
  if (least >= PACKETS_PER_CALL_MIN) return [check.ok(`${telling.when}: each system call carries a batch`)];
  return [
    check.note(
      `${telling.when}: some calls carry little, as with single small packets, many short flows, or pure acknowledgements`,
    ),
  ];
}

/** Only where the tunnel tells which cipher each peer has. */
function judgeCiphers({ status }: TunnelFacts): Finding[] {
  const counts = new Map<string, number>();
  for (const peer of status.peers) {
    const cipher = textField(peer, 'cipher');
    if (cipher !== null) counts.set(cipher, (counts.get(cipher) ?? 0) + 1);
  }
  if (counts.size === 0) return [];
  const value = [...counts].map(([cipher, count]) => `${cipher} with ${count}`).join(', ');
  return [about('ciphers', 'ciphers', value).ok('as agreed with each peer')];
}

/** Only where the tunnel was started with a cap of its own. */
function judgeMemoryCap({ status, total }: TunnelFacts): Finding[] {
  const { rssBytes, memoryCapBytes, memoryCrossingsCount } = status;
  if (memoryCapBytes === null) return [];
  const value = `${formatBytes(rssBytes)} resident of ${formatBytes(memoryCapBytes)} allowed`;
  const check = about('memory-cap', 'memory cap', value);
  if (rssBytes >= memoryCapBytes * NEAR_SHARE)
    return [
      check.warn(
        'near the cap: handshakes are held back and garbage is collected',
        'raise --memory, or use fewer lanes',
      ),
    ];
  const before = `it came near the cap ${memoryCrossingsCount} times in ${formatSeconds(total.wallNs)}`;
  return [memoryCrossingsCount === 0 ? check.ok('it never came near') : check.note(before, 'raise --memory')];
}

function judgeMemory({ recent, process }: TunnelFacts): Finding {
  const limit = process?.memoryLimitBytes ?? null;
  const of = limit === null ? '' : ` of ${formatBytes(limit)}`;
  const check = about('process-memory', 'memory', `${formatBytes(recent.rssBytes)} resident${of}`);
  if (limit === null || recent.rssBytes < limit * MEMORY_SHARE_MAX) {
    const share = ratio(recent.processCpuNs, recent.wallNs);
    return check.ok(`and ${formatPercent(share, 0)} of a core, control and compiler included`);
  }
  return check.warn('close to the limit of its cgroup, where it is killed', 'raise the limit, or use fewer lanes');
}

function judgePrivileges({ process }: TunnelFacts): Finding[] {
  if (process === null) return [];
  const { capabilities, noNewPrivileges } = process.privileges;
  const few = capabilities.length <= NAMES_SHOWN_MAX;
  const value = few ? capabilities.join(', ') || 'none' : `${capabilities.length} capabilities`;
  const check = about('privileges', 'privileges', value);
  if (noNewPrivileges && few) return [check.ok('the rest was dropped in every thread, and none can be gained')];
  return [
    check.note('kept, as asked or for PreDown and PostDown', 'leave these commands and --no-drop-privileges away'),
  ];
}
