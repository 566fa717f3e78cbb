/**
 * A lane context over a fake addon: what the stages of the data path need to run, and short ways to set up peers,
 * keypairs and routes, to bring packets in, and to read the books.
 */
import { LaneContext } from '../../src/lane-context.ts';
import { COUNTER, type CounterName } from '../../src/ledger/catalog.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { openPage } from '../../src/ledger/page.ts';
import { CIPHER } from '../../src/native/layout.ts';
import { Arena } from '../../src/packet/arena.ts';
import { DROP, DROP_REASONS, type DropName } from '../../src/packet/drop-reason.ts';
import { type Endpoint, writeEndpoint } from '../../src/packet/endpoint.ts';
import { type Timing, WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { type AllowedIp, buildAllowedIps } from '../../src/tables/allowed-ips.ts';
import { KeypairMemory } from '../../src/tables/keypair-memory.ts';
import type { LaneEvent } from '../../src/tables/lane-messages.ts';
import { LaneKeypair, LanePeer, PEER_CELL, peerMemoryBytes } from '../../src/tables/peers.ts';
import { concat } from '../reference/ip.ts';
import { FakeAddon, fakeTag, type UdpArrival } from './fake-addon.ts';

export interface FakeLaneOptions {
  /** Bytes of the staged pool. */
  readonly stagedBytes?: number;
  /** Bytes for rings of histories. */
  readonly historiesBytes?: number;
  readonly mtu?: number;
  readonly gsoDatagramsMax?: number;
  readonly tcpSuperPackets?: boolean;
  readonly udpSuperPackets?: boolean;
  readonly timing?: Timing;
}

export interface KeypairOptions {
  readonly id: number;
  readonly localIndex?: number;
  readonly remoteIndex?: number;
  readonly initiator?: boolean;
  readonly bornMs?: number;
  readonly unconfirmed?: boolean;
  readonly memory?: SharedArrayBuffer;
}

/** An endpoint for peer `number`, different for each; `local` is the last byte of the local address, 0 for none. */
export function endpointOf(number: number, local = 0): Endpoint {
  return {
    family: 4,
    address: Uint8Array.of(203, 0, 113, number + 1),
    port: 51_820 + number,
    scope: 0,
    localAddress: local === 0 ? null : Uint8Array.of(192, 0, 2, local),
    localInterface: local === 0 ? 0 : 2,
  };
}

/** The key of one direction of a keypair; `slot` is the key slot of whoever opens messages with it. */
export function keyOf(slot: number): Uint8Array {
  return new Uint8Array(32).fill(slot + 1);
}

export class FakeLane {
  readonly addon: FakeAddon = new FakeAddon();
  readonly arena: Arena;
  readonly ledger: Ledger = new Ledger(openPage());
  readonly context: LaneContext;
  readonly events: LaneEvent[] = [];

  constructor(options: FakeLaneOptions = {}) {
    this.arena = new Arena(options.stagedBytes ?? 1 << 16, options.historiesBytes);
    const handle = this.addon.attach(this.arena.bytes, this.ledger.books);
    const limits = {
      gsoDatagramsMax: options.gsoDatagramsMax ?? 64,
      tcpSuperPackets: options.tcpSuperPackets ?? true,
      udpSuperPackets: options.udpSuperPackets ?? false,
      mtu: options.mtu ?? 1420,
    };
    const notify = (event: LaneEvent): void => {
      this.events.push(event);
    };
    const timing = options.timing ?? WIREGUARD_TIMING;
    this.context = new LaneContext(this.addon, handle, this.arena, this.ledger, timing, limits, notify);
  }

  addPeer(id: number, endpoint: Endpoint | null = endpointOf(id)): LanePeer {
    const peer = new LanePeer(id, new SharedArrayBuffer(peerMemoryBytes(1)), 0);
    writeEndpoint(new Uint8Array(peer.endpoint.buffer), 0, endpoint);
    this.context.peers[id] = peer;
    return peer;
  }

  /** A keypair that is known for receiving; `peer.current` is the caller's. Both directions have the key `keyOf(id)`. */
  addKeypair(peer: LanePeer, options: KeypairOptions): LaneKeypair {
    const { id, localIndex = 1_000 + id, remoteIndex = 2_000 + id, initiator = true, unconfirmed = false } = options;
    const memory = new KeypairMemory(options.memory ?? KeypairMemory.allocate());
    const bornMs = options.bornMs ?? this.addon.nowMs;
    const keypair = new LaneKeypair(peer, id, localIndex, remoteIndex, initiator, bornMs, memory, unconfirmed);
    this.context.receivers.set(localIndex, keypair);
    this.addon.setKey(this.context.handle, keypair.sendKeySlot, keyOf(id), CIPHER.CHACHA20_POLY1305);
    this.addon.setKey(this.context.handle, keypair.receiveKeySlot, keyOf(id), CIPHER.CHACHA20_POLY1305);
    return keypair;
  }

  /** A peer with an endpoint and a keypair of its own number to send with. */
  addReadyPeer(id: number): LanePeer {
    const peer = this.addPeer(id);
    peer.current = this.addKeypair(peer, { id });
    return peer;
  }

  route(prefixes: readonly AllowedIp[]): void {
    const { ipv4, ipv6 } = buildAllowedIps(prefixes);
    this.context.ipv4Routes = ipv4;
    this.context.ipv6Routes = ipv6;
  }

  /** Both default routes lead to one peer. */
  routeAllTo(peer: number): void {
    this.route([
      { address: new Uint8Array(4), length: 0, peer },
      { address: new Uint8Array(16), length: 0, peer },
    ]);
  }

  /** Lets datagrams of equal length, but for a shorter last one, come in one receive. */
  arrive(
    datagrams: readonly Uint8Array[],
    source: Endpoint | null = endpointOf(0),
    family: 4 | 6 = 4,
    trafficClass = -1,
  ): void {
    const arrival: UdpArrival = {
      bytes: concat(datagrams),
      segmentLength: datagrams.length > 1 ? datagrams[0].length : 0,
      source,
      trafficClass,
    };
    this.addon.udpQueue[family].push(arrival);
  }

  count(name: CounterName): number {
    return this.ledger.counts[COUNTER[name]];
  }

  drop(name: DropName): number {
    return this.ledger.drops[DROP[name]];
  }

  /** All drops that were counted, by name. */
  drops(): Partial<Record<DropName, number>> {
    const counted = DROP_REASONS.filter(({ id }) => this.ledger.drops[id] !== 0);
    return Object.fromEntries(counted.map(({ name, id }) => [name, this.ledger.drops[id]]));
  }

  dropsTotal(): number {
    return this.ledger.drops.reduce((sum, drops) => sum + drops, 0);
  }

  /** Forgets what was counted, said, written and sent; peers, keypairs and routes stay. */
  reset(): void {
    this.ledger.counts.fill(0);
    this.ledger.drops.fill(0);
    this.events.length = 0;
    const { tunQueue, tunWrites, udpSends, udpTries, udpQueue } = this.addon;
    for (const list of [tunQueue, tunWrites, udpSends, udpTries, udpQueue[4], udpQueue[6]]) list.length = 0;
    this.addon.writeErrno = () => 0;
    this.addon.sendErrno = () => 0;
  }
}

/** A transport message as the peer of a fake lane's keypair `id` makes it; `plaintext` is the padded inner packet. */
export function transportMessage(localIndex: number, counter: number, plaintext: Uint8Array, id: number): Uint8Array {
  const header = new DataView(new ArrayBuffer(16));
  const low = (counter % 2 ** 32) | 0;
  const high = Math.floor(counter / 2 ** 32);
  header.setInt32(0, 4, true);
  header.setInt32(4, localIndex, true);
  header.setInt32(8, low, true);
  header.setInt32(12, high, true);
  return concat([new Uint8Array(header.buffer), plaintext, fakeTag(keyOf(id), low, high, plaintext)]);
}

/** A transport message taken apart. */
export interface OpenedMessage {
  readonly type: number;
  readonly receiver: number;
  readonly counter: number;
  /** With its padding. */
  readonly plaintext: Uint8Array;
  /** Whether the tag is that of the keypair's key, the counter as nonce, and this plaintext. */
  readonly isAuthentic: boolean;
}

/** Takes a datagram apart that a fake lane sealed with its keypair `id`. */
export function openMessage(datagram: Uint8Array, id: number): OpenedMessage {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  const [low, high] = [view.getInt32(8, true), view.getInt32(12, true)];
  const plaintext = datagram.slice(16, -16);
  return {
    type: view.getUint32(0, true),
    receiver: view.getInt32(4, true),
    counter: Number(view.getBigUint64(8, true)),
    plaintext,
    isAuthentic: Buffer.compare(fakeTag(keyOf(id), low, high, plaintext), datagram.slice(-16)) === 0,
  };
}

/** Zeros to the next multiple of 16. */
export function padded(packet: Uint8Array): Uint8Array {
  return concat([packet, new Uint8Array((16 - (packet.length % 16)) % 16)]);
}

/** The cells of a peer's shared memory that hold times, by name. */
export function timesOf(
  peer: LanePeer,
): Record<'unanswered' | 'owed' | 'lastData' | 'lastSent' | 'lastReceived', number> {
  const { cells } = peer;
  return {
    unanswered: cells[PEER_CELL.UNANSWERED_SINCE_MS],
    owed: cells[PEER_CELL.OWED_SINCE_MS],
    lastData: cells[PEER_CELL.LAST_DATA_RECEIVED_MS],
    lastSent: cells[PEER_CELL.LAST_SENT_MS],
    lastReceived: cells[PEER_CELL.LAST_RECEIVED_MS],
  };
}
