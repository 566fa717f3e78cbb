/** A coalescer over a fake lane: inner packets go in as they lie in the arena after unsealing, writes come out. */
import { Coalescer } from '../../src/inbound/coalesce.ts';
import { onesSum } from '../reference/internet-checksum.ts';
import type { TunWrite } from './fake-addon.ts';
import { FakeLane, padded } from './fake-lane.ts';

const TRANSPORT_HEADER_LENGTH = 16;
const TAG_LENGTH = 16;

export class Coalescing {
  readonly lane: FakeLane;
  readonly #coalescer: Coalescer;

  /** `udpSuperPackets`: whether the TUN takes them. */
  constructor(udpSuperPackets = false) {
    this.lane = new FakeLane({ udpSuperPackets });
    this.#coalescer = new Coalescer(this.lane.context);
  }

  /** Takes packets as one batch; returns what was written, in order. */
  take(packets: readonly Uint8Array[]): TunWrite[] {
    this.lane.reset();
    let at = this.lane.arena.udpIn;
    for (const packet of packets) {
      const plaintext = padded(packet);
      const ip = at + TRANSPORT_HEADER_LENGTH;
      this.lane.arena.bytes.fill(0xee, at, ip);
      this.lane.arena.bytes.set(plaintext, ip);
      at = ip + plaintext.length + TAG_LENGTH;
      this.#coalescer.add(ip, packet.length, onesSum(plaintext));
    }
    this.#coalescer.flush();
    return [...this.lane.addon.tunWrites];
  }
}
