/** UDP: whether datagrams go in groups (GSO) and come in groups (GRO), really sent over loopback, and how large buffers get. */
import { formatBytes } from '../ledger/table.ts';
import { about, type Finding } from './check.ts';

export interface UdpFacts {
  /** Why no socket could be opened; null when one could. */
  readonly problem: string | null;
  readonly families: readonly UdpFamilyFacts[];
  /** What gigatun asks for, bytes each way. */
  readonly bufferBytesWanted: number;
  /** net.core.rmem_max and wmem_max; null where unknown. */
  readonly receiveBytesMax: number | null;
  readonly sendBytesMax: number | null;
}

export interface UdpFamilyFacts {
  readonly family: 4 | 6;
  /** Granted, bytes; twice what was asked for is the most (the kernel counts its own overhead). */
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  /** Most datagrams of one send, as probed at opening; 1 without GSO. */
  readonly datagramsMax: number;
  /** What sending that many as one group over loopback gave; null where it was not tried (no GSO). */
  readonly exchange: UdpExchange | null;
}

export interface UdpExchange {
  /** Errno of the send, positive; 0 when it went. */
  readonly errno: number;
  readonly datagramsSent: number;
  /** Datagrams that came back, and receives (system calls) that brought them. */
  readonly datagramsReceived: number;
  readonly receives: number;
}

/** Below this, bursts that a busy core leaves waiting for some milliseconds overflow a socket. */
const BUFFER_BYTES_MIN = 2 << 20;

/** Loopback is down, has no address, or is filtered, which says nothing of GSO: ENETUNREACH, EADDRNOTAVAIL, EPERM. */
const NO_LOOPBACK: ReadonlySet<number> = new Set([101, 99, 1]);

export function judgeUdp(facts: UdpFacts): Finding[] {
  const families = judgeFamilies(facts);
  if (facts.families.length === 0) return [families];
  return [families, judgeGso(facts.families), judgeGro(facts.families), judgeBuffers(facts)];
}

function judgeFamilies({ families, problem }: UdpFacts): Finding {
  const names = families.map(({ family }) => `IPv${family}`);
  const check = about('udp-sockets', 'sockets', names.length === 0 ? 'none' : names.join(', '));
  if (names.length === 0) return check.fail(problem ?? 'no UDP socket could be opened', 'see the reason');
  if (names.length === 2) return check.ok('endpoints of both families can be reached');
  const missing = names.includes('IPv4') ? 'IPv6' : 'IPv4';
  return check.note(`endpoints with ${missing} addresses cannot be reached: this kernel has it switched off`);
}

function judgeGso(families: readonly UdpFamilyFacts[]): Finding {
  const most = Math.min(...families.map(({ datagramsMax }) => datagramsMax));
  const advice = 'use Linux 4.18 or later; without it each datagram costs a system call';
  if (most <= 1) return about('udp-gso', 'GSO', 'missing').warn('each datagram is a message of its own', advice);
  const refused = families.find(({ exchange }) => exchange !== null && exchange.errno !== 0);
  if (refused !== undefined) return judgeRefusal(refused, refused.exchange?.errno ?? 0);
  return about('udp-gso', 'GSO', `${most} datagrams a send`).ok('sent over loopback as one message');
}

function judgeRefusal({ family, datagramsMax }: UdpFamilyFacts, errno: number): Finding {
  const check = about('udp-gso', 'GSO', `IPv${family}: errno ${errno}`);
  const reason = `a group of ${datagramsMax} datagrams could not be sent over loopback`;
  if (NO_LOOPBACK.has(errno))
    return check.note(`${reason}: the kernel has GSO, but it was not tried`, 'ip link set lo up, or look for a filter');
  return check.warn(reason, 'look at the kernel log; without GSO each datagram costs a system call');
}

function judgeGro(families: readonly UdpFamilyFacts[]): Finding {
  const exchanges = families.flatMap(({ exchange }) => (exchange === null || exchange.errno !== 0 ? [] : [exchange]));
  const first = exchanges[0];
  if (first === undefined)
    return about('udp-gro', 'GRO', 'not probed').note('no group of datagrams could be sent to try it');
  const lost = exchanges.find(({ datagramsSent, datagramsReceived }) => datagramsReceived < datagramsSent);
  if (lost !== undefined)
    return about('udp-gro', 'GRO', `${lost.datagramsReceived} of ${lost.datagramsSent} came back`).warn(
      'datagrams were lost on loopback',
      'look for a filter on the loopback interface (nft list ruleset)',
    );
  const worst = exchanges.reduce((left, right) => (right.receives > left.receives ? right : left), first);
  const check = about('udp-gro', 'GRO', `${worst.datagramsReceived} datagrams in ${plural(worst.receives, 'receive')}`);
  if (worst.receives < worst.datagramsReceived) return check.ok('received over loopback as they were sent, joined');
  return check.warn('each datagram costs a receive of its own', 'use Linux 5.0 or later');
}

function judgeBuffers({ families, bufferBytesWanted, receiveBytesMax, sendBytesMax }: UdpFacts): Finding {
  const receive = Math.min(...families.map(({ receiveBufferBytes }) => receiveBufferBytes));
  const send = Math.min(...families.map(({ sendBufferBytes }) => sendBufferBytes));
  const value = `${formatBytes(receive)} in, ${formatBytes(send)} out`;
  const check = about('udp-buffers', 'buffers', value);
  const limits = `net.core.rmem_max ${receiveBytesMax ?? 'unknown'}, wmem_max ${sendBytesMax ?? 'unknown'}`;
  const advice = `run as root (SO_RCVBUFFORCE), or sysctl -w net.core.rmem_max=${bufferBytesWanted} net.core.wmem_max=${bufferBytesWanted}`;
  if (Math.min(receive, send) < BUFFER_BYTES_MIN)
    return check.warn(`a burst of some milliseconds overflows them (${limits})`, advice);
  if (Math.min(receive, send) < bufferBytesWanted)
    return check.note(`less than the ${formatBytes(bufferBytesWanted)} asked for (${limits})`, advice);
  return check.ok(`all of the ${formatBytes(bufferBytesWanted)} asked for (${limits})`);
}

function plural(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
