/**
 * Two lanes with a keypair between them and forward error correction: what the TUN of one brings is sealed, and what is left of
 * the datagrams after a link is received by the other.
 */
import { settleFec } from '../../src/history/fec/fec.ts';
import { HISTORY_CELL } from '../../src/history/history-cells.ts';
import type { PeerHistory } from '../../src/history/peer-history.ts';
import { type FecSettings, RING_BYTES_MIN } from '../../src/history/settings.ts';
import { InboundPath } from '../../src/inbound/receive.ts';
import { OutboundPath } from '../../src/outbound/read.ts';
import { CONTROL_KIND, controlKind } from '../../src/protocol/control-header.ts';
import { udpPacketBytes } from './arbitrary-packets.ts';
import { giveHistory, lanePaths } from './fake-history.ts';
import { endpointOf, FakeLane, openMessage } from './fake-lane.ts';
import { openGate } from './handshake-gate.ts';
import { plainFromTun } from './virtio.ts';

const INDEX = 77;
const HISTORIES_BYTES = 4 << 20;

export interface Sent {
  readonly datagram: Uint8Array;
  readonly counter: number;
  readonly plaintext: Uint8Array;
  readonly isParity: boolean;
}

export class ParityPair {
  readonly from: FakeLane = new FakeLane({ historiesBytes: HISTORIES_BYTES });
  readonly to: FakeLane = new FakeLane({ historiesBytes: HISTORIES_BYTES, tcpSuperPackets: false });
  readonly outbound: OutboundPath;
  readonly inbound: InboundPath;
  readonly sending: PeerHistory;
  readonly receiving: PeerHistory;

  constructor(fec: Partial<FecSettings> = {}) {
    this.sending = this.#end(this.from, INDEX + 1, INDEX, fec);
    this.receiving = this.#end(this.to, INDEX, INDEX + 1, fec);
    this.outbound = new OutboundPath(this.from.context, 1_500);
    this.inbound = new InboundPath(this.to.context, openGate(this.to));
  }

  #end(lane: FakeLane, localIndex: number, remoteIndex: number, fec: Partial<FecSettings>): PeerHistory {
    const peer = lane.addPeer(0);
    peer.current = lane.addKeypair(peer, { id: 0, localIndex, remoteIndex });
    lane.routeAllTo(0);
    const whole: FecSettings = { mode: 'on', data: 10, parity: 2, delayMs: 20, ...fec };
    const history = giveHistory(lane, peer, { fec: whole, ringBytes: RING_BYTES_MIN });
    settleFec(lane.context, history);
    history.setPaths(lanePaths([], { knows: { gaps: false, paths: false, parity: true } }));
    return history;
  }

  /** Sends UDP packets of these lengths in one turn; returns what left, in order. */
  send(lengths: readonly number[], seed = 0): Sent[] {
    const packets = lengths.map((length, at) => udpPacketBytes(9, 0, length, seed + 2 * at));
    this.from.addon.tunQueue.push(...packets.map(plainFromTun));
    return this.take(() => this.outbound.turn());
  }

  /** What leaves while something is done. */
  take(act: () => void): Sent[] {
    const { addon } = this.from;
    addon.udpSends.length = 0;
    addon.book(this.from.context.handle, 0);
    act();
    return addon.udpSends.flatMap(({ datagrams }) => datagrams.map(sentOf));
  }

  /** Lets time pass for the sender, and has done what is due. */
  pass(ms: number): Sent[] {
    this.from.addon.nowMs += ms;
    return this.take(() => this.outbound.sendDue(this.sending, this.from.addon.nowMs));
  }

  /** Brings datagrams to the receiver, each in a receive of its own; returns the packets that came out of its TUN. */
  arrive(sent: readonly Sent[]): Uint8Array[] {
    this.to.addon.tunWrites.length = 0;
    for (const { datagram } of sent) this.to.arrive([datagram], endpointOf(0));
    while (this.inbound.turn(4) > 0);
    return this.to.addon.tunWrites.map(({ packet }) => packet);
  }

  /** A cell of the sender's or the receiver's books. */
  cell(end: 'sending' | 'receiving', name: Exclude<keyof typeof HISTORY_CELL, 'CELLS'>): number {
    return this[end].cells[HISTORY_CELL[name]];
  }
}

function sentOf(datagram: Uint8Array): Sent {
  const { counter, plaintext } = openMessage(datagram, 0);
  const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.length);
  return {
    datagram,
    counter,
    plaintext,
    isParity: plaintext.length > 0 && controlKind(view, 0) === CONTROL_KIND.PARITY,
  };
}
