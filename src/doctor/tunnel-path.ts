/** Where a tunnel's packets go: its interface, the MTU of the way to each peer, handshakes, and who else is on its port. */
import type { PeerStatus } from '../device-types.ts';
import { about, type Finding } from './check.ts';
import type { ProcessFacts, Route, TunnelFacts } from './tunnel-facts.ts';

/** What the tunnel adds to a packet: outer IP header, UDP 8, transport header 16, tag 16. */
const OVERHEAD_LENGTH: Readonly<Record<Route['family'], number>> = { 4: 60, 6: 80 };
/** A keypair is refused from this age on (paper 6.1: REJECT_AFTER_TIME). */
const HANDSHAKE_MS_MAX = 180_000;
const SHOWN_MAX = 3;

export function judgePath(tunnel: TunnelFacts): Finding[] {
  const { process } = tunnel;
  return [
    judgeInterface(tunnel),
    judgeHandshakes(tunnel),
    judgeMtu(tunnel),
    ...(process === null ? [judgeUnseen()] : [judgePort(tunnel, process), judgeGateway(tunnel, process)]),
  ];
}

function judgeInterface({ status, name }: TunnelFacts): Finding {
  const check = about('interface', 'interface', status.up ? `up, MTU ${status.mtu}` : 'down');
  if (status.publicKey === null) return check.fail('without a private key no handshake can be made', 'set PrivateKey');
  if (!status.up) return check.warn('no packet goes through it', `ip link set up dev ${name}`);
  return check.ok(`port ${status.listenPort}, process ${status.pid}`);
}

/** An idle peer may have an old handshake; one that has to be kept alive may not. */
function judgeHandshakes({ status, recent }: TunnelFacts): Finding {
  const { peers } = status;
  const ageMs = (peer: PeerStatus): number => recent.takenAtMs - peer.latestHandshakeMs;
  const done = peers.filter(({ latestHandshakeMs }) => latestHandshakeMs > 0);
  const newest = Math.min(...done.map(ageMs));
  const newestText = done.length === 0 ? '' : `, newest ${formatAge(newest)} ago`;
  const check = about('handshakes', 'handshakes', `${done.length} of ${peers.length} peers${newestText}`);
  if (peers.length === 0) return check.warn('without a peer nothing can be sent', 'add a [Peer] section');
  const failed = peers.filter(({ lastFailure }) => lastFailure !== null);
  if (failed.length > 0)
    return check.warn(
      `failed with ${nameAll(failed)}: ${failed[0]?.lastFailure}`,
      'check the keys, endpoints and firewalls of both ends',
    );
  const late = peers.filter((peer) => peer.persistentKeepaliveSeconds > 0 && ageMs(peer) > HANDSHAKE_MS_MAX);
  if (late.length > 0)
    return check.warn(`overdue with ${nameAll(late)}, which have a keepalive`, 'check their endpoints and firewalls');
  const never = peers.length - done.length;
  if (never > 0) return check.note(`${never} without any yet: they begin with the first packet to or from the peer`);
  return check.ok('a peer that is idle may have an old one');
}

function judgeMtu({ status, routes: { routes, skipped } }: TunnelFacts): Finding {
  const known = routes.flatMap(({ mtu, ...route }) => (mtu === null ? [] : [{ ...route, mtu }]));
  const unreachable = routes.filter(({ mtu }) => mtu === null);
  const rest = skipped === 0 ? '' : `, ${skipped} more not looked at`;
  const least = Math.min(...known.map(({ mtu }) => mtu));
  const value = known.length === 0 ? `${status.mtu} inside` : `${status.mtu} inside, ${least} outside${rest}`;
  const check = about('path-mtu', 'MTU', value);
  if (unreachable.length > 0)
    return check.warn(
      `no route to ${unreachable
        .slice(0, SHOWN_MAX)
        .map(({ address }) => address)
        .join(', ')}`,
      'look at ip route get ADDRESS',
    );
  const tight = known.filter(({ mtu, family }) => status.mtu + OVERHEAD_LENGTH[family] > mtu);
  const best = Math.min(...known.map(({ mtu, family }) => mtu - OVERHEAD_LENGTH[family]));
  if (tight.length > 0)
    return check.warn(
      `a full packet with its ${OVERHEAD_LENGTH[tight[0]?.family ?? 4]} bytes of headers and tag is fragmented outside`,
      `MTU = ${best}`,
    );
  if (known.length === 0) return check.ok('no peer has an endpoint yet');
  return check.ok(`with 60 bytes more over IPv4, 80 over IPv6, full packets fit`);
}

function judgePort({ status }: TunnelFacts, { strangersOnPort }: ProcessFacts): Finding {
  const check = about('port', 'port', String(status.listenPort));
  if (strangersOnPort === 0) return check.ok('nobody else is on it');
  return check.warn(
    `other sockets (${strangersOnPort}) are bound to it too, and may get datagrams of the tunnel`,
    `see who: ss -anup 'sport = :${status.listenPort}'`,
  );
}

/** Several peers, or a mark: then this host's settings decide whether packets get through. */
function judgeGateway({ status }: TunnelFacts, { network }: ProcessFacts): Finding {
  const { forwarding4, forwarding6, reversePathFilter } = network;
  const state = forwarding4 === null ? 'unknown' : forwarding4 ? 'on' : 'off';
  const check = about('gateway', 'forwarding', `IPv4 ${state}${reversePathFilter === 1 ? ', rp_filter strict' : ''}`);
  if (status.fwmark !== 0 && reversePathFilter === 1)
    return check.note(
      'with a mark, answers of peers may be dropped by the strict reverse path filter',
      'sysctl -w net.ipv4.conf.all.src_valid_mark=1, or rp_filter=2',
    );
  if (status.peers.length > 1 && (forwarding4 === false || forwarding6 === false))
    return check.note(
      'peers reach this host, but not each other through it',
      'if they shall: sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1',
    );
  return check.ok('as its peers need it');
}

function judgeUnseen(): Finding {
  return about('process', 'process', 'not seen').note(
    'buffers, queues, port and limits were not looked at: it belongs to another user or PID namespace',
    'run gigatun doctor as root, where the tunnel runs',
  );
}

function nameAll(peers: readonly PeerStatus[]): string {
  const names = peers.slice(0, SHOWN_MAX).map(({ publicKey }) => `${publicKey.slice(0, 8)}…`);
  const more = peers.length - names.length;
  return more === 0 ? names.join(', ') : `${names.join(', ')} and ${more} more`;
}

function formatAge(ageMs: number): string {
  const seconds = Math.max(0, Math.round(ageMs / 1_000));
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}
