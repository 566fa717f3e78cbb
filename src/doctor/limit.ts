/**
 * The one thing that limits throughput most, and how that was concluded.
 *
 * What fails comes first: with it there is no throughput at all. Then the books of the busiest tunnel that moved something:
 * they say where its time goes, and the largest share that can be changed is the limit (a core that is missing, an offload
 * that is off, a slower cipher); if none can, the dearest activity is. Without such books, the machine's own checks, in
 * the order of what each costs.
 */
import { busyNsOf, dearestActivity, ratio } from '../ledger/balance.ts';
import { ACTIVITIES, ACTIVITY, type ActivityName } from '../ledger/catalog.ts';
import { formatMicroseconds, formatNumber, formatPercent } from '../ledger/table.ts';
import { AES_FACTOR_MIN, aesFactor, installCommand, isAvailable } from './aead.ts';
import type { Check } from './check.ts';
import type { MachineFacts } from './facts.ts';
import { type Books, type TunnelFacts, tellingBooks } from './tunnel-facts.ts';
import { busiestShare, CORE_WAIT_SHARE_MAX, coresOf, coreWaitShare, FULL_LANE_SHARE } from './tunnel-use.ts';

export interface Limit {
  /** Stable name for scripts: a check's id, or one of the causes below. */
  readonly id: string;
  /** Interface whose books told, or null when the machine did. */
  readonly interface: string | null;
  /** What limits, in a few words. */
  readonly what: string;
  /** How that was concluded, with figures. */
  readonly how: string;
  /** What to change; null where nothing can be. */
  readonly advice: string | null;
}

/** Checks of the machine that tell of throughput, the dearest first. */
const DEAREST_FIRST: readonly string[] = [
  'cpu-quota',
  'cores',
  'udp-gso',
  'tun-offloads',
  'aead',
  'cpu-features',
  'udp-gro',
  'cpu-steal',
  'cpu-load',
  'clock-source',
  'udp-buffers',
  'memory',
  'kernel',
  'cipher',
];

/** Where these are notes, loopback was in the way of trying them. */
const UNTRIED: readonly string[] = ['udp-gso', 'udp-gro'];

/** A share of the work below this is not worth naming before the work itself. */
const SHARE_MIN = 0.08;
/** A lane that works for less of its time waits for traffic, not traffic for it. */
const WORKING_SHARE_MIN = 0.6;

/** @param checks all of them, of the machine and of the tunnels. */
export function findLimit(machine: MachineFacts, tunnels: readonly TunnelFacts[], checks: readonly Check[]): Limit {
  const failed = checks.find(({ status }) => status === 'fail');
  if (failed !== undefined) return limitOf(failed, 'it fails, so a tunnel cannot run or cannot be looked at');
  const busiest = busiestTunnel(tunnels);
  if (busiest !== null) return limitOfTunnel(busiest, machine);
  const dearest = dearestCheck(checks.filter(({ interface: name }) => name === null));
  return dearest === undefined ? limitOfWork(machine) : limitOf(dearest, NO_TRAFFIC);
}

/** Warnings before notes, in the order of what each costs. */
function dearestCheck(checks: readonly Check[]): Check | undefined {
  const ordered = DEAREST_FIRST.flatMap((id) => checks.find((check) => check.id === id) ?? []);
  const costly = ({ id, status }: Check): boolean => status === 'note' && !UNTRIED.includes(id);
  return ordered.find(({ status }) => status === 'warn') ?? ordered.find(costly);
}

const NO_TRAFFIC = 'concluded from the machine, for no tunnel here has moved enough to tell';

function limitOf(check: Check, how: string): Limit {
  const { id, title, value, reason, advice } = check;
  return { id, interface: check.interface, what: `${title}: ${value}`, how: `${reason}; ${how}`, advice };
}

/** Nothing is wrong: the bound is what the cipher costs on one core. */
function limitOfWork({ aead }: MachineFacts): Limit {
  const sealNs = aead.backEnds.find(({ name }) => name === aead.chosen)?.sealNs?.['chacha20-poly1305'] ?? null;
  const measured = sealNs === null ? '' : `sealing a full packet takes ${formatMicroseconds(sealNs)} here; `;
  return {
    id: 'work',
    interface: null,
    what: 'nothing that could be changed: sealing, opening and moving packets is the work itself',
    how: `${measured}${NO_TRAFFIC}`,
    advice: 'send traffic through a tunnel and ask again: then its books tell',
  };
}

interface Busiest {
  readonly tunnel: TunnelFacts;
  readonly telling: Books;
}

/** Of those that move something now the one that works most; else of those that did. */
function busiestTunnel(tunnels: readonly TunnelFacts[]): Busiest | null {
  const candidates = tunnels.flatMap((tunnel): Busiest[] => {
    const telling = tellingBooks(tunnel);
    return telling === null || busyNsOf(telling.books.total) <= 0 ? [] : [{ tunnel, telling }];
  });
  const rank = ({ telling }: Busiest): number => (telling.isRecent ? 1e18 : 0) + busyNsOf(telling.books.total);
  return candidates.toSorted((left, right) => rank(right) - rank(left))[0] ?? null;
}

/** A cause that can be changed, with the share of busy time that it costs. */
interface Cause {
  readonly id: string;
  readonly share: number;
  readonly what: string;
  readonly how: string;
  readonly advice: string;
}

type Suspicion = (busiest: Busiest, machine: MachineFacts) => Cause | null;

/** To add a cause is to add a function. */
const SUSPICIONS: readonly Suspicion[] = [suspectCores, suspectGso, suspectGro, suspectTso, suspectAead];

function limitOfTunnel(busiest: Busiest, machine: MachineFacts): Limit {
  const idle = limitOfIdle(busiest);
  if (idle !== null) return idle;
  const causes = SUSPICIONS.flatMap((suspect) => suspect(busiest, machine) ?? []).filter(
    ({ share }) => share >= SHARE_MIN,
  );
  const [worst] = causes.toSorted((left, right) => right.share - left.share);
  if (worst === undefined) return limitOfDearest(busiest, machine);
  const { share: _, ...cause } = worst;
  return { ...cause, interface: busiest.tunnel.name };
}

/** Only the time watched can say that a lane had time left. */
function limitOfIdle({ tunnel, telling }: Busiest): Limit | null {
  const share = telling.isRecent ? busiestShare(telling.books.lanes) : null;
  if (share === null || share >= WORKING_SHARE_MIN) return null;
  return {
    id: 'traffic',
    interface: tunnel.name,
    what: 'nothing here: the tunnel waits for traffic',
    how: `its busiest lane worked ${formatPercent(share, 0)} of the time ${telling.when}`,
    advice: 'look at the sender, the receiver, the other end (gigatun doctor there) and the network between',
  };
}

function suspectCores({ tunnel, telling }: Busiest): Cause | null {
  const share = coreWaitShare(telling.books.total);
  if (share === null || share < CORE_WAIT_SHARE_MAX) return null;
  const quota = tunnel.process?.quotaCores ?? null;
  const stopped = quota !== null && (tunnel.process?.throttledCount ?? 0) > 0;
  const how = `lanes had work but no core for ${formatPercent(share)} of their busy time ${telling.when}`;
  if (stopped)
    return {
      id: 'cpu-quota',
      share,
      what: `its cgroup's quota of ${quota} cores`,
      how: `${how}, and the cgroup was stopped ${tunnel.process?.throttledCount} times`,
      advice: 'raise it: cpu.max, CPUQuota=, docker --cpus',
    };
  return {
    id: 'cores',
    share,
    what: 'no free core',
    how,
    advice: 'use more cores, or move other programs, also those that send and receive, to other cores',
  };
}

function suspectGso({ tunnel, telling }: Busiest): Cause | null {
  if (tunnel.status.offloads.includes('gso')) return null;
  return offloadCause(telling, 'KERN_SEND_UDP', 'udp-gso', 'UDP GSO is off: one datagram a message');
}

function suspectGro({ tunnel, telling }: Busiest): Cause | null {
  if (tunnel.status.offloads.includes('gro')) return null;
  return offloadCause(telling, 'KERN_RECV_UDP', 'udp-gro', 'UDP GRO is off: one datagram a receive');
}

function suspectTso({ tunnel, telling }: Busiest): Cause | null {
  if (['tso4', 'tso6'].every((name) => tunnel.status.offloads.includes(name))) return null;
  const read = shareOf(telling, 'KERN_READ_TUN');
  const name = shareOf(telling, 'KERN_WRITE_TUN') > read ? 'KERN_WRITE_TUN' : 'KERN_READ_TUN';
  return offloadCause(telling, name, 'tun-offloads', 'the TUN carries one packet a call: TSO is off');
}

function offloadCause(telling: Books, name: ActivityName, id: string, what: string): Cause {
  const share = shareOf(telling, name);
  const how = `${name} took ${formatPercent(share)} of the work on a core ${telling.when}`;
  return { id, share, what, how, advice: `see ${id} and offloads above, and #gigatun: Offloads in its file` };
}

/** What ipsec-mb saves where it could not be measured: on an EPYC with AVX-512, 0.57 against 0.72 µs a packet. */
const IPSEC_MB_SAVES = 0.2;

/** What the faster back end would save: by the costs measured here if both are there. */
function suspectAead({ tunnel, telling }: Busiest, { aead }: MachineFacts): Cause | null {
  if (tunnel.status.aead !== 'openssl' || aead.architecture !== 'x64') return null;
  const crypt = shareOf(telling, 'USER_ENCRYPT') + shareOf(telling, 'USER_DECRYPT');
  const cipher = tunnel.status.peers.some((peer) => peer.cipher !== 'aes-256-gcm')
    ? 'chacha20-poly1305'
    : 'aes-256-gcm';
  const costOf = (wanted: string): number | null =>
    aead.backEnds.find(({ name }) => name === wanted)?.sealNs?.[cipher] ?? null;
  const [fast, slow] = [costOf('ipsec-mb'), costOf('openssl')];
  const saved = fast === null || slow === null ? IPSEC_MB_SAVES : 1 - fast / slow;
  const present = isAvailable(aead, 'ipsec-mb');
  return {
    id: 'aead',
    share: crypt * Math.max(0, saved),
    what: `AEAD by openssl, where ipsec-mb takes about ${formatPercent(saved, 0)} less time`,
    how: `USER_ENCRYPT and USER_DECRYPT took ${formatPercent(crypt)} of the work on a core ${telling.when}`,
    advice: present
      ? 'start the tunnel without GIGATUN_AEAD=openssl'
      : `${installCommand(aead.systemIds)}, then restart`,
  };
}

/** Nothing of it can be changed by a setting: the work itself, and the lane or core that it fills. */
function limitOfDearest({ tunnel, telling }: Busiest, machine: MachineFacts): Limit {
  const { total, lanes } = telling.books;
  const name = dearestActivity(total);
  const share = name === null ? 0 : shareOf(telling, name);
  const per = name === null ? null : (ACTIVITIES[ACTIVITY[name]]?.per ?? null);
  const cost = per === null || name === null ? null : ratio(total.activitiesNs[name], total.counts[per]);
  const full = telling.isRecent && (busiestShare(lanes) ?? 0) >= FULL_LANE_SHARE;
  const moreLanes = tunnel.status.lanes < coresOf(tunnel, machine) && full;
  const advice = [
    ...(moreLanes ? [`--lanes ${tunnel.status.lanes + 1}, if there are several flows`] : []),
    ...(isCipherDear(name) && wouldGainByAes(tunnel, machine)
      ? ['AES-256-GCM between two gigatuns: see fastest cipher above']
      : []),
  ];
  return {
    id: name === null ? 'work' : name.toLowerCase().replaceAll('_', '-'),
    interface: tunnel.name,
    what: `${full ? 'a full lane, and in it ' : ''}${name ?? 'the work itself'}`,
    how:
      `${name} took ${formatPercent(share)} of the work on a core ${telling.when}` +
      `${cost === null ? '' : `, ${formatNumber(cost / 1_000, 3)} µs per ${per}`}; nothing that is wrong above would take it away`,
    advice: advice.length === 0 ? null : advice.join('; '),
  };
}

function isCipherDear(name: ActivityName | null): boolean {
  return name === 'USER_ENCRYPT' || name === 'USER_DECRYPT';
}

/** Whether a peer has WireGuard's cipher where the other is clearly faster. Only its operator knows whether it is a gigatun. */
function wouldGainByAes({ status }: TunnelFacts, { aead }: MachineFacts): boolean {
  const factor = aesFactor(aead, status.aead) ?? 0;
  return factor >= AES_FACTOR_MIN && status.peers.some(({ cipher }) => cipher === 'chacha20-poly1305');
}

/** Share (0 to 1) of an activity in the work on a core. */
function shareOf({ books: { total } }: Books, name: ActivityName): number {
  const waitedNs = ACTIVITIES.reduce((sum, activity) => sum + total.coreWaitNs[activity.name], 0);
  const workNs = busyNsOf(total) - waitedNs;
  return ratio(total.activitiesNs[name] - total.coreWaitNs[name], workNs) ?? 0;
}
