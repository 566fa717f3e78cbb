/**
 * A coalescer over a fake lane: inner packets go in as they lie in the arena after unsealing, and as the verifier hands
 * them over; writes come out.
 */
import { Coalescer } from '../../src/inbound/coalesce.ts';
import { onesSum } from '../reference/internet-checksum.ts';
import type { TunWrite } from './fake-addon.ts';
import { FakeLane, padded } from './fake-lane.ts';

const TRANSPORT_HEADER_LENGTH = 16;
const TAG_LENGTH = 16;
const PEER = 3;

export class Coalescing {
  readonly lane: FakeLane;
  readonly #coalescer: Coalescer;
  /** Packets that were exactly what continues a run. */
  continued = 0;

  /** `udpSuperPackets`: whether the TUN takes them. */
  constructor(udpSuperPackets = false) {
    this.lane = new FakeLane({ udpSuperPackets });
    this.#coalescer = new Coalescer(this.lane.context);
  }

  /** Takes packets as one batch; returns what was written, in order. */
  take(packets: readonly Uint8Array[]): TunWrite[] {
    return this.#takeAll(packets.map((packet) => ({ packet, length: packet.length })));
  }

  /** The same, whatever their headers say of their lengths, which are `length`. */
  takeAsIs(packets: readonly Uint8Array[], length: number): TunWrite[] {
    return this.#takeAll(packets.map((packet) => ({ packet, length })));
  }

  /** Whether the third of three packets is told by how it must look. */
  isExpected(
    first: Uint8Array,
    second: Uint8Array,
    third: Uint8Array,
    { samePeer = true, shift = 0 }: { readonly samePeer?: boolean; readonly shift?: number },
  ): boolean {
    this.lane.reset();
    const start = this.lane.arena.udpIn + TRANSPORT_HEADER_LENGTH;
    const places = [start, start + 2_048, start + 4_096 + shift];
    const packets = [first, second, third].map(padded);
    for (const [index, packet] of packets.entries()) this.lane.arena.bytes.set(packet, places[index]);
    this.#coalescer.add(PEER, places[0], first.length, onesSum(packets[0]));
    this.#coalescer.add(PEER, places[1], second.length, onesSum(packets[1]));
    const peer = samePeer ? PEER : PEER + 1;
    const expected = this.#coalescer.continues(peer, places[2], packets[2].length, onesSum(packets[2]));
    this.#coalescer.flush();
    return expected;
  }

  #takeAll(packets: readonly { readonly packet: Uint8Array; readonly length: number }[]): TunWrite[] {
    this.lane.reset();
    let at = this.lane.arena.udpIn;
    for (const { packet, length } of packets) {
      const plaintext = padded(packet);
      const ip = at + TRANSPORT_HEADER_LENGTH;
      this.lane.arena.bytes.fill(0xee, at, ip);
      this.lane.arena.bytes.set(plaintext, ip);
      at = ip + plaintext.length + TAG_LENGTH;
      const sum = onesSum(plaintext);
      if (this.#coalescer.continues(PEER, ip, plaintext.length, sum)) this.continued += 1;
      else this.#coalescer.add(PEER, ip, length, sum);
    }
    this.#coalescer.flush();
    return [...this.lane.addon.tunWrites];
  }
}
