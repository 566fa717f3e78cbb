/** What a tunnel lost, and where: in its own stages (by drop reason), before it (the TUN's queue), and in its sockets. */
import type { DeviceSnapshot } from '../ledger/snapshot.ts';
import { formatCount, formatPercent } from '../ledger/table.ts';
import { DROP_REASONS, type DropName, type DropReason } from '../packet/drop-reason.ts';
import { about, type Finding } from './check.ts';
import type { GrowingCount, TunnelFacts } from './tunnel-facts.ts';

/** From this share of a direction's packets on, drops are felt: a TCP flow slows down at one in some thousands. */
const DROP_SHARE_MAX = 0.001;

export function judgeLoss(tunnel: TunnelFacts): Finding[] {
  const { process } = tunnel;
  const own = DROP_REASONS.flatMap((reason) => judgeDrops(tunnel, reason));
  const none = about('drops', 'drops', 'none').ok('no packet left its path early');
  return [
    ...(own.length === 0 ? [none] : own),
    ...(process === null
      ? []
      : [judgeTunQueue(tunnel, process.tunDropped), judgeSockets(tunnel, process.socketDropped)]),
  ];
}

/** What to do about a reason; the others are explained by their meaning. A map, so that names of the list stay texts here. */
const ADVICE: ReadonlyMap<DropName, string> = new Map([
  ['OUT_NO_ROUTE', 'routes lead packets into the tunnel that no AllowedIPs hold: add the prefix, or remove the route'],
  ['OUT_LOOP', 'a route leads to the endpoint through the tunnel itself: exempt the endpoint from it, or use FwMark'],
  ['OUT_QUEUE_LONG', 'none: so senders learn how fast the tunnel is'],
  ['OUT_NO_ENDPOINT', 'give the peer an Endpoint, or let it connect first'],
  ['OUT_TOO_LONG', 'the MTU was raised while it ran: gigatun down, then up'],
  ['OUT_STAGED_OVERFLOW', 'packets came before the handshake was done: see handshakes below'],
  ['OUT_STAGED_EXPIRED', 'the peer does not answer: check its endpoint, key and firewall'],
  ['OUT_SEND_FULL', 'the network card takes less than the tunnel gives: a faster link, or larger net.core.wmem_max'],
  ['OUT_SEND_FAILED', 'check the route to the endpoint (ip route get), its MTU, and firewalls'],
  ['IN_UNKNOWN_INDEX', 'datagrams of a session from before a restart, or of strangers; harmless if few'],
  ['IN_BAD_TAG', 'datagrams are damaged or forged on the way: look for faulty offloads of a card or a middle box'],
  ['IN_REPLAY', 'the peer sends copies, the network sends datagrams twice, or somebody replays them'],
  ['IN_TOO_OLD', 'the network reorders datagrams by thousands: look for unequal parallel links'],
  ['IN_BAD_SOURCE', "add the peer's inner addresses to its AllowedIPs here, or correct them there"],
  ['IN_TUN_FULL', 'programs here take packets too slowly: see waits for a core'],
  ['IN_TUN_DOWN', 'set the interface up: ip link set up dev IFACE'],
  ['IN_TUN_REFUSED', 'the kernel refused super-packets: start with #gigatun: Offloads = none and compare'],
  ['IN_HANDSHAKE_QUEUE', 'many handshakes at once, or a flood of them'],
  ['IN_HANDSHAKE_RATE', 'a flood of handshakes; strangers must show a cookie, and so come in one retry later'],
  ['IN_HANDSHAKE_BAD', 'check keys and clocks of both ends; strangers who scan the port cause some'],
]);

function judgeDrops({ total, recent }: TunnelFacts, { name, direction, meaning }: DropReason): Finding[] {
  const count = total.total.drops[name];
  if (count === 0) return [];
  const packets = total.total.counts[direction === 'outbound' ? 'TUN_RX' : 'UDP_RX'];
  const share = count / Math.max(count, packets);
  const recently = recent.total.drops[name];
  const expected = name === 'IN_REPLAY' ? Math.min(count, duplicatesOf(total)) : 0;
  const value = `${formatCount(count)}, ${formatPercent(share, 2)} of ${direction}`;
  const check = about(`drop-${name.toLowerCase().replaceAll('_', '-')}`, name, value);
  const reason = recently === 0 ? meaning : `${meaning} ${formatCount(recently)} of them while watched.`;
  const advice = ADVICE.get(name) ?? 'see docs/ledger.md';
  const felt = (count - expected) / Math.max(count, packets) >= DROP_SHARE_MAX;
  if (expected > 0 && !felt)
    return [check.note(`${formatCount(expected)} of them of peers with histories, which send more than once.`)];
  return [felt ? check.warn(reason, advice) : check.note(reason, advice)];
}

/** What came again of peers that have histories: that is what copies are for. */
function duplicatesOf({ histories }: DeviceSnapshot): number {
  return histories.reduce((sum, { total }) => sum + (total.counts.DUPLICATES ?? 0), 0);
}

function judgeTunQueue({ total }: TunnelFacts, dropped: GrowingCount | null): Finding {
  if (dropped === null)
    return about('tun-queue', 'TUN queue', 'unknown').ok('the interface is in another network namespace');
  const { TUN_RX: packets } = total.total.counts;
  return growing(about('tun-queue', 'TUN queue', droppedText(dropped)), dropped, packets, {
    good: 'every packet that was sent into the tunnel was read',
    bad: 'programs sent faster than the lane read: TCP adapts, UDP is lost',
    advice: 'a longer queue (ip link set txqueuelen 1000 dev IFACE), more lanes, or a faster AEAD',
  });
}

function judgeSockets({ total }: TunnelFacts, dropped: GrowingCount): Finding {
  const { UDP_RX: packets } = total.total.counts;
  return growing(about('socket-drops', 'socket buffers', droppedText(dropped)), dropped, packets, {
    good: 'every datagram that came was received',
    bad: 'datagrams came faster than the lane received them: RcvbufErrors',
    advice: 'larger buffers (see buffers), more lanes, or a free core',
  });
}

function droppedText({ total, recent }: GrowingCount): string {
  if (total === 0) return 'none dropped';
  return `${formatCount(total)} dropped${recent === 0 ? '' : `, ${formatCount(recent)} while watched`}`;
}

function growing(
  check: ReturnType<typeof about>,
  { total, recent }: GrowingCount,
  packets: number,
  { good, bad, advice }: { readonly good: string; readonly bad: string; readonly advice: string },
): Finding {
  if (total === 0) return check.ok(good);
  const felt = recent > 0 || total / Math.max(1, total + packets) >= DROP_SHARE_MAX;
  return felt ? check.warn(bad, advice) : check.note(bad);
}
