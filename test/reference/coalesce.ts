/**
 * Slow twin of the rules in src/inbound/coalesce.ts, over readable packets: what the kernel's tcp_gro_receive and
 * inet_gro_receive would merge. The urgent pointer is left out, as there: without URG it means nothing.
 */
import type { IpHeader, TcpPacket } from './ip.ts';

const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const PSH = 0x08;
const ACK = 0x10;
const URG = 0x20;
const CWR = 0x80;

export const RUN_PACKETS_MAX = 128;
const SUPER_BYTES_MAX = 65_535;

/** Whether a segment may be merged with others at all. */
export function isMergeable({ ip, tcp, payload }: TcpPacket): boolean {
  const isWhole = ip.options.length === 0 && !ip.moreFragments && ip.fragmentOffset === 0;
  return isWhole && payload.length > 0 && (tcp.flags & ACK) !== 0 && (tcp.flags & (SYN | RST | URG | CWR)) === 0;
}

/** Whether a run of merged segments may take one more of its flow. */
export function mayFollow(run: readonly TcpPacket[], next: TcpPacket): boolean {
  const first = run[0];
  const last = run[run.length - 1];
  const headerBytes = (next.ip.version === 4 ? 20 : 40) + 20 + next.tcp.options.length;
  const payloadBytes = [...run, next].reduce((sum, { payload }) => sum + payload.length, 0);
  return (
    [...run, next].every(isMergeable) &&
    run.length < RUN_PACKETS_MAX &&
    headerBytes + payloadBytes <= SUPER_BYTES_MAX &&
    run.every(({ tcp }) => (tcp.flags & (PSH | FIN)) === 0) &&
    run.every(({ payload }) => payload.length === first.payload.length) &&
    next.payload.length <= first.payload.length &&
    next.tcp.sequence === (last.tcp.sequence + last.payload.length) % 2 ** 32 &&
    sameTcp(first, next) &&
    sameIp(first.ip, next.ip) &&
    idGoesOn(first.ip, next.ip, run.length)
  );
}

function sameTcp({ tcp: a }: TcpPacket, { tcp: b }: TcpPacket): boolean {
  const ended = PSH | FIN;
  return (
    a.sourcePort === b.sourcePort &&
    a.destinationPort === b.destinationPort &&
    a.acknowledgement === b.acknowledgement &&
    a.reserved === b.reserved &&
    a.window === b.window &&
    (a.flags | ended) === (b.flags | ended) &&
    Buffer.compare(a.options, b.options) === 0
  );
}

function sameIp(a: IpHeader, b: IpHeader): boolean {
  return (
    a.version === b.version &&
    a.trafficClass === b.trafficClass &&
    a.hopLimit === b.hopLimit &&
    a.flowLabel === b.flowLabel &&
    a.dontFragment === b.dontFragment &&
    Buffer.compare(a.source, b.source) === 0 &&
    Buffer.compare(a.destination, b.destination) === 0
  );
}

/** Ids count up; with DF they may also stand still, for then nobody reads them (RFC 6864). */
function idGoesOn(first: IpHeader, next: IpHeader, position: number): boolean {
  if (first.version === 6) return true;
  return next.id === (first.id + position) % 65_536 || (next.dontFragment && next.id === first.id);
}
