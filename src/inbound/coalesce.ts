/**
 * Inbound, coalesce: consecutive TCP segments or UDP datagrams of one flow become a super-packet, as the kernel's GRO
 * would build it, so that the TUN takes dozens of them in one write. Nothing is copied: a run is a list of pieces in the
 * arena.
 *
 * Merged is only what the kernel's tcp_gro_receive and inet/ipv6_gro_receive would merge: both checksums verified, equal
 * addresses, ports, TTL, traffic class, flow label, DF, acknowledgement, flags, window and options, consecutive sequence
 * numbers, consecutive (or with DF, constant) IPv4 ids, equal payloads but for a shorter last. PSH and FIN end a run;
 * SYN, RST, URG and CWR are never merged. UDP runs hold datagrams of equal length but for a shorter last, as a sender
 * with UDP_SEGMENT makes them; they need a TUN that takes them (USO). The order within a flow is kept; different flows
 * have runs of their own.
 */
import type { LaneContext } from '../lane-context.ts';
import { COUNTER } from '../ledger/catalog.ts';
import { VIRTIO_HEADER_LENGTH } from '../native/layout.ts';
import { FLAG, foldSmallSum, IPV4, IPV6, PROTOCOL, sumWords, TCP, UDP } from '../packet/ip-header.ts';
import { GSO, writePlainVirtioHeader, writeSuperVirtioHeader } from '../packet/virtio-header.ts';
import { NextSegment } from './next-segment.ts';
import { TunWriter } from './write.ts';

/** Flows that may have an open run at once; one more closes the oldest. */
const RUNS = 16;
/** Packets in one run. */
const RUN_PACKETS_MAX = 128;
const RUN_WORDS = RUN_PACKETS_MAX * 2;
/** Datagrams in one UDP super-packet: UDP_MAX_SEGMENTS of kernels before 6.9. */
const UDP_RUN_PACKETS_MAX = 64;
/** Largest super-packet: the length field of IPv4. */
const SUPER_BYTES_MAX = 65_535;
const NEVER_MERGED = FLAG.SYN | FLAG.RST | FLAG.URG | FLAG.CWR;
const ENDS_RUN = FLAG.PSH | FLAG.FIN;
const NONE = -1;
/** First bytes of an IPv4 header without options. */
const IPV4_PLAIN = 0x45;

export class Coalescer {
  readonly #lane: LaneContext;
  readonly #writer: TunWriter;
  /** Columns of the runs; `#packets` 0 means that the run is closed. */
  readonly #packets: Int32Array = new Int32Array(RUNS);
  readonly #ip: Int32Array = new Int32Array(RUNS);
  readonly #ports: Int32Array = new Int32Array(RUNS);
  readonly #protocol: Int32Array = new Int32Array(RUNS);
  readonly #transport: Int32Array = new Int32Array(RUNS);
  readonly #headerLength: Int32Array = new Int32Array(RUNS);
  readonly #segmentPayload: Int32Array = new Int32Array(RUNS);
  readonly #length: Int32Array = new Int32Array(RUNS);
  readonly #sequence: Int32Array = new Int32Array(RUNS);
  readonly #flags: Int32Array = new Int32Array(RUNS);
  readonly #pieces: Int32Array = new Int32Array(RUNS * RUN_WORDS);
  readonly #single: Int32Array = new Int32Array(2);
  /** What would continue the latest run. */
  readonly #next: NextSegment = new NextSegment();
  #peer = 0;
  #latest = 0;
  #oldest = 0;

  constructor(lane: LaneContext) {
    this.#lane = lane;
    this.#writer = new TunWriter(lane);
  }

  /**
   * Takes the plaintext at `ip` if it is exactly what continues the latest run of this peer; false if it must be looked
   * at. `sum` is the folded sum of the whole plaintext.
   */
  continues(peer: number, ip: number, plaintextLength: number, sum: number): boolean {
    const next = this.#next;
    if (peer !== next.peer || plaintextLength < next.length) return false;
    if (!next.matches(this.#lane.arena.words, ip, sum)) return false;
    const run = this.#latest;
    const packets = this.#packets[run];
    const { payload } = next;
    if (packets >= RUN_PACKETS_MAX || this.#length[run] + payload > SUPER_BYTES_MAX) return false;
    this.#append(run, ip + next.headerLength, payload);
    next.advance();
    return true;
  }

  /** Takes the inner packet of a peer at `ip`, `length` bytes by its header; `sum` is the folded sum of the whole plaintext. */
  add(peer: number, ip: number, length: number, sum: number): void {
    this.#peer = peer;
    const { view } = this.#lane.arena;
    const first = view.getUint8(ip);
    const isIpv4 = first >>> 4 === 4;
    const protocol = view.getUint8(ip + (isIpv4 ? IPV4.PROTOCOL : IPV6.NEXT_HEADER));
    const isUdp = protocol === PROTOCOL.UDP;
    const isTcp = protocol === PROTOCOL.TCP;
    const kinds = this.#lane.superKinds;
    if (!(isTcp ? (isIpv4 ? kinds.tcp4 : kinds.tcp6) : isUdp && kinds.udp)) {
      // An IPv6 extension header may hide TCP of any flow.
      if (!isIpv4 && !isUdp && !isTcp && protocol !== PROTOCOL.ICMP6) this.#closeAll();
      this.#writeSingle(ip, length);
      return;
    }
    const transport = isIpv4 ? IPV4.HEADER_LENGTH_MIN : IPV6.HEADER_LENGTH;
    const plain = isIpv4
      ? first === IPV4_PLAIN && (view.getUint16(ip + IPV4.FRAGMENT) & IPV4.FRAGMENT_MASK) === 0
      : true;
    if (!plain || length < transport + (isUdp ? UDP.HEADER_LENGTH : TCP.HEADER_LENGTH_MIN)) {
      // Its flow is not told from its ports, so nothing may overtake or be overtaken.
      this.#closeAll();
      this.#writeSingle(ip, length);
      return;
    }
    const verified = checksumsAreGood(view, ip, length, isIpv4, protocol, sum);
    if (isUdp) this.#addUdp(ip, length, transport, verified);
    else this.#addTcp(ip, length, transport, verified);
  }

  /** Writes all that was taken. */
  flush(): void {
    this.#closeAll();
    this.#writer.flush();
    if (this.#lane.superKinds.isUnsettled) this.#lane.settleSuperKinds();
  }

  #addTcp(ip: number, length: number, transport: number, verified: boolean): void {
    const { view } = this.#lane.arena;
    const tcp = ip + transport;
    const headerLength = transport + (view.getUint8(tcp + TCP.DATA_OFFSET) >>> 4) * 4;
    const flags = view.getUint8(tcp + TCP.FLAGS);
    const payload = length - headerLength;
    const mergeable =
      verified &&
      payload > 0 &&
      headerLength >= transport + TCP.HEADER_LENGTH_MIN &&
      (flags & (NEVER_MERGED | FLAG.ACK)) === FLAG.ACK;
    const run = this.#find(ip, transport, PROTOCOL.TCP);
    if (run !== NONE) {
      if (mergeable && this.#continues(run, ip, headerLength, payload)) {
        this.#merge(run, ip, headerLength, payload, flags);
        return;
      }
      this.#close(run);
    }
    if (!mergeable || (flags & ENDS_RUN) !== 0) this.#writeSingle(ip, length);
    else this.#open(run, PROTOCOL.TCP, ip, length, transport, headerLength, flags);
  }

  #addUdp(ip: number, length: number, transport: number, verified: boolean): void {
    const { view } = this.#lane.arena;
    const headerLength = transport + UDP.HEADER_LENGTH;
    const payload = length - headerLength;
    // Without a checksum (0) there is nothing that a merged one could stand for.
    const mergeable =
      verified &&
      payload > 0 &&
      view.getUint16(ip + transport + UDP.LENGTH) === length - transport &&
      view.getUint16(ip + transport + UDP.CHECKSUM) !== 0;
    const run = this.#find(ip, transport, PROTOCOL.UDP);
    if (run !== NONE) {
      if (mergeable && this.#continuesUdp(run, ip, payload)) {
        this.#merge(run, ip, headerLength, payload, 0);
        return;
      }
      this.#close(run);
    }
    if (mergeable) this.#open(run, PROTOCOL.UDP, ip, length, transport, headerLength, 0);
    else this.#writeSingle(ip, length);
  }

  /** The open run of the packet's flow, or NONE. */
  #find(ip: number, transport: number, protocol: number): number {
    const ports = this.#lane.arena.view.getInt32(ip + transport);
    const latest = this.#latest;
    if (this.#isFlow(latest, ip, transport, protocol, ports)) return latest;
    for (let run = 0; run < RUNS; run += 1) if (this.#isFlow(run, ip, transport, protocol, ports)) return run;
    return NONE;
  }

  #isFlow(run: number, ip: number, transport: number, protocol: number, ports: number): boolean {
    if (this.#packets[run] === 0 || this.#ports[run] !== ports || this.#transport[run] !== transport) return false;
    if (this.#protocol[run] !== protocol) return false;
    const { view } = this.#lane.arena;
    const addresses = transport === IPV6.HEADER_LENGTH ? IPV6.SOURCE : IPV4.SOURCE;
    return equalWords(view, ip + addresses, this.#ip[run] + addresses, transport - addresses);
  }

  /** Whether a packet of the run's flow may be appended to it. */
  #continues(run: number, ip: number, headerLength: number, payload: number): boolean {
    if (headerLength !== this.#headerLength[run] || payload > this.#segmentPayload[run]) return false;
    if (this.#packets[run] >= RUN_PACKETS_MAX || this.#length[run] + payload > SUPER_BYTES_MAX) return false;
    const { view } = this.#lane.arena;
    const transport = this.#transport[run];
    const tcp = ip + transport;
    const firstIp = this.#ip[run];
    const firstTcp = firstIp + transport;
    // Data offset, reserved bits, flags and window are one word.
    const word = view.getInt32(tcp + TCP.DATA_OFFSET) ^ view.getInt32(firstTcp + TCP.DATA_OFFSET);
    if ((word & ~(ENDS_RUN << 16)) !== 0) return false;
    if (view.getInt32(tcp + TCP.SEQUENCE) !== this.#sequence[run]) return false;
    if (view.getInt32(tcp + TCP.ACKNOWLEDGEMENT) !== view.getInt32(firstTcp + TCP.ACKNOWLEDGEMENT)) return false;
    const options = headerLength - transport - TCP.OPTIONS;
    if (!equalWords(view, tcp + TCP.OPTIONS, firstTcp + TCP.OPTIONS, options)) return false;
    return this.#sameIp(run, ip);
  }

  #continuesUdp(run: number, ip: number, payload: number): boolean {
    if (payload > this.#segmentPayload[run] || this.#packets[run] >= UDP_RUN_PACKETS_MAX) return false;
    return this.#length[run] + payload <= SUPER_BYTES_MAX && this.#sameIp(run, ip);
  }

  #sameIp(run: number, ip: number): boolean {
    const { view } = this.#lane.arena;
    const first = this.#ip[run];
    return this.#transport[run] === IPV6.HEADER_LENGTH
      ? sameIpv6(view, ip, first)
      : sameIpv4(view, ip, first, this.#packets[run]);
  }

  #merge(run: number, ip: number, headerLength: number, payload: number, flags: number): void {
    this.#append(run, ip + headerLength, payload);
    this.#flags[run] |= flags & ENDS_RUN;
    if (payload < this.#segmentPayload[run] || (flags & ENDS_RUN) !== 0) this.#close(run);
    else if (this.#protocol[run] === PROTOCOL.TCP) this.#expectAfter(run, ip, headerLength, payload);
  }

  #append(run: number, offset: number, payload: number): void {
    const piece = run * RUN_WORDS + this.#packets[run] * 2;
    this.#pieces[piece] = offset;
    this.#pieces[piece + 1] = payload;
    this.#packets[run] += 1;
    this.#length[run] += payload;
    this.#sequence[run] = (this.#sequence[run] + payload) | 0;
  }

  #expectAfter(run: number, ip: number, headerLength: number, payload: number): void {
    const { view, words } = this.#lane.arena;
    const idStep = view.getUint16(ip + IPV4.ID) === view.getUint16(this.#ip[run] + IPV4.ID) ? 0 : 1;
    this.#latest = run;
    this.#next.learn(view, words, ip, this.#transport[run], headerLength, payload, this.#peer, idStep);
  }

  #open(
    free: number,
    protocol: number,
    ip: number,
    length: number,
    transport: number,
    headerLength: number,
    flags: number,
  ): void {
    const run = free === NONE ? this.#takeRun() : free;
    const { view } = this.#lane.arena;
    const payload = length - headerLength;
    this.#latest = run;
    this.#next.forget();
    this.#packets[run] = 1;
    this.#protocol[run] = protocol;
    this.#ip[run] = ip;
    this.#ports[run] = view.getInt32(ip + transport);
    this.#transport[run] = transport;
    this.#headerLength[run] = headerLength;
    this.#segmentPayload[run] = payload;
    this.#length[run] = length;
    this.#sequence[run] = (view.getInt32(ip + transport + TCP.SEQUENCE) + payload) | 0;
    this.#flags[run] = flags;
    this.#pieces[run * RUN_WORDS] = ip - VIRTIO_HEADER_LENGTH;
    this.#pieces[run * RUN_WORDS + 1] = VIRTIO_HEADER_LENGTH + length;
  }

  #takeRun(): number {
    for (let run = 0; run < RUNS; run += 1) if (this.#packets[run] === 0) return run;
    const run = this.#oldest;
    this.#oldest = (run + 1) % RUNS;
    this.#close(run);
    return run;
  }

  #closeAll(): void {
    for (let run = 0; run < RUNS; run += 1) if (this.#packets[run] > 0) this.#close(run);
  }

  #close(run: number): void {
    const packets = this.#packets[run];
    const ip = this.#ip[run];
    const { view } = this.#lane.arena;
    this.#packets[run] = 0;
    if (run === this.#latest) this.#next.forget();
    if (packets === 1) writePlainVirtioHeader(view, ip - VIRTIO_HEADER_LENGTH);
    else {
      this.#finishHeaders(run);
      this.#lane.ledger.counts[COUNTER.COALESCED] += packets;
    }
    const innerBytes = this.#length[run] + (packets - 1) * this.#headerLength[run];
    this.#writer.append(this.#pieces, run * RUN_WORDS, packets, packets, innerBytes);
  }

  /** Makes the first packet's headers those of the super-packet; its checksum becomes the pseudo header's sum. */
  #finishHeaders(run: number): void {
    const { view } = this.#lane.arena;
    const ip = this.#ip[run];
    const transport = this.#transport[run];
    const length = this.#length[run];
    const protocol = this.#protocol[run];
    const isUdp = protocol === PROTOCOL.UDP;
    const isIpv4 = transport === IPV4.HEADER_LENGTH_MIN;
    const checksum = isUdp ? UDP.CHECKSUM : TCP.CHECKSUM;
    if (isIpv4) {
      view.setUint16(ip + IPV4.TOTAL_LENGTH, length);
      view.setUint16(ip + IPV4.CHECKSUM, 0);
      view.setUint16(ip + IPV4.CHECKSUM, ~foldSmallSum(sumWords(view, ip, IPV4.HEADER_LENGTH_MIN)) & 0xffff);
    } else view.setUint16(ip + IPV6.PAYLOAD_LENGTH, length - IPV6.HEADER_LENGTH);
    const addresses = isIpv4 ? sumWords(view, ip + IPV4.SOURCE, 8) : sumWords(view, ip + IPV6.SOURCE, 32);
    view.setUint16(ip + transport + checksum, foldSmallSum(addresses + protocol + length - transport));
    if (isUdp) view.setUint16(ip + transport + UDP.LENGTH, length - transport);
    else view.setUint8(ip + transport + TCP.FLAGS, this.#flags[run]);
    writeSuperVirtioHeader(
      view,
      ip - VIRTIO_HEADER_LENGTH,
      isUdp ? GSO.UDP : isIpv4 ? GSO.TCP4 : GSO.TCP6,
      this.#headerLength[run],
      this.#segmentPayload[run],
      transport,
      checksum,
    );
  }

  #writeSingle(ip: number, length: number): void {
    writePlainVirtioHeader(this.#lane.arena.view, ip - VIRTIO_HEADER_LENGTH);
    this.#single[0] = ip - VIRTIO_HEADER_LENGTH;
    this.#single[1] = VIRTIO_HEADER_LENGTH + length;
    this.#writer.append(this.#single, 0, 1, 1, length);
  }
}

/**
 * Whether the IPv4 header's and the TCP or UDP checksum are good, told from the sum of the whole plaintext. A good IPv4 header
 * adds nothing to it (its sum is 0xffff, a zero of ones' complement). In IPv6 the addresses and the length stand in
 * both the header and the pseudo header and cancel out; what is left of the header is taken off.
 */
function checksumsAreGood(
  view: DataView,
  ip: number,
  length: number,
  isIpv4: boolean,
  protocol: number,
  sum: number,
): boolean {
  if (isIpv4) {
    const source = halves(view.getInt32(ip + IPV4.SOURCE));
    const destination = halves(view.getInt32(ip + IPV4.DESTINATION));
    const rest = halves(view.getInt32(ip)) + halves(view.getInt32(ip + IPV4.ID)) + halves(view.getInt32(ip + IPV4.TTL));
    if (foldSmallSum(source + destination + rest) !== 0xffff) return false;
    return foldSmallSum(sum + source + destination + protocol + length - IPV4.HEADER_LENGTH_MIN) === 0xffff;
  }
  const rest = halves(view.getInt32(ip)) + view.getUint16(ip + IPV6.NEXT_HEADER);
  return foldSmallSum(sum + protocol + 3 * 0xffff - rest) === 0xffff;
}

/** Sum of the two 16-bit halves of a word. */
function halves(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

/** Version, traffic class, TTL and DF as in the run's first packet; the id goes on (or, with DF, stands still). */
function sameIpv4(view: DataView, ip: number, first: number, position: number): boolean {
  const fragment = view.getUint16(ip + IPV4.FRAGMENT);
  if (fragment !== view.getUint16(first + IPV4.FRAGMENT)) return false;
  if (view.getUint16(ip) !== view.getUint16(first) || view.getUint8(ip + IPV4.TTL) !== view.getUint8(first + IPV4.TTL))
    return false;
  const id = view.getUint16(ip + IPV4.ID);
  const firstId = view.getUint16(first + IPV4.ID);
  if (id === ((firstId + position) & 0xffff)) return true;
  return id === firstId && (fragment & IPV4.DONT_FRAGMENT) !== 0;
}

/** Version, traffic class, flow label and hop limit as in the run's first packet. */
function sameIpv6(view: DataView, ip: number, first: number): boolean {
  return (
    view.getInt32(ip) === view.getInt32(first) &&
    view.getUint8(ip + IPV6.HOP_LIMIT) === view.getUint8(first + IPV6.HOP_LIMIT)
  );
}

/** Compares `length` bytes, a multiple of 4. */
function equalWords(view: DataView, left: number, right: number, length: number): boolean {
  for (let at = 0; at < length; at += 4) if (view.getInt32(left + at) !== view.getInt32(right + at)) return false;
  return true;
}
