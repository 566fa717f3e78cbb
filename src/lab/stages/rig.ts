/**
 * A lane without devices, for the stage bench: the real addon, arena, books, tables and keypair, but the four verbs that would
 * move packets do nothing of the kind. What `sendUdp` is given comes back from `receiveUdp` as GRO would join it, so that one lane
 * is both ends of a tunnel to itself. Needs no privilege and no network.
 */
import { LaneContext } from '../../lane-context.ts';
import { Ledger } from '../../ledger/ledger.ts';
import { openPage } from '../../ledger/page.ts';
import * as addon from '../../native/addon.ts';
import { CIPHER_NUMBERS } from '../../native/cipher-number.ts';
import { ENDPOINT, TUN_WRITE, UDP_RECEIVE, UDP_SEND } from '../../native/layout.ts';
import type { Addon, LaneOptions } from '../../native/types.ts';
import { Arena } from '../../packet/arena.ts';
import { writeEndpoint } from '../../packet/endpoint.ts';
import type { Cipher } from '../../protocol/cipher.ts';
import { WIREGUARD_TIMING } from '../../protocol/constants.ts';
import { buildAllowedIps } from '../../tables/allowed-ips.ts';
import { KeypairMemory } from '../../tables/keypair-memory.ts';
import { LaneKeypair, LanePeer, peerMemoryBytes } from '../../tables/peers.ts';
import { STAGE_MTU } from './workload.ts';

export type AeadName = LaneOptions['aead'];

const STAGED_BYTES = 1 << 16;
const KEYPAIR_ID = 0;
const INDEX = 0x1234_5678;
/** Groups of this many datagrams, as most kernels take them. */
const GSO_DATAGRAMS_MAX = 64;
const ALIGNMENT = 64;

/** Moments at which the native verbs come and go. */
export interface Moments {
  readonly received: () => void;
  readonly unsealStarts: () => void;
  readonly unsealEnds: () => void;
  readonly historyEnds: () => void;
  readonly written: (writes: number) => void;
}

interface Group {
  readonly offset: number;
  readonly length: number;
  readonly segmentLength: number;
}

export class Rig {
  readonly lane: LaneContext;
  readonly peer: LanePeer;
  readonly aead: string;
  /** Called by the verbs of the inbound direction. */
  moments: Moments = { received() {}, unsealStarts() {}, unsealEnds() {}, historyEnds() {}, written() {} };
  #groups: Group[] = [];

  /** Throws GigatunError UNSUPPORTED when this machine lacks the AEAD back end. */
  constructor(aead: AeadName, cipher: Cipher) {
    const arena = new Arena(STAGED_BYTES);
    const ledger = new Ledger(openPage());
    const fds = { tunFd: -1, udp4Fd: -1, udp6Fd: -1 };
    const opened = addon.openLane({ arena: arena.bytes, books: ledger.books, ...fds, aead, bookTime: true });
    const limits = { gsoDatagramsMax: GSO_DATAGRAMS_MAX, tcpSuperPackets: true, udpSuperPackets: true, mtu: STAGE_MTU };
    const verbs = this.#verbs(arena);
    this.lane = new LaneContext(verbs, opened.handle, arena, ledger, WIREGUARD_TIMING, limits, () => {});
    this.aead = opened.aead;
    addon.book(opened.handle, 0); // starts the lane's clock, which the keypair's age is told from
    this.peer = this.#addPeer(cipher);
  }

  close(): void {
    addon.closeLane(this.lane.handle);
  }

  /** One peer that is at both ends: what it seals it opens. */
  #addPeer(cipher: Cipher): LanePeer {
    const { lane } = this;
    const peer = new LanePeer(0, new SharedArrayBuffer(peerMemoryBytes(1)), 0);
    const memory = new KeypairMemory(KeypairMemory.allocate());
    const keypair = new LaneKeypair(peer, KEYPAIR_ID, INDEX, INDEX, true, lane.nowMs(), memory, false);
    const address = Uint8Array.of(192, 0, 2, 1);
    const endpoint = { family: 4, address, port: 51_820, scope: 0, localAddress: null, localInterface: 0 } as const;
    writeEndpoint(new Uint8Array(peer.endpoint.buffer), 0, endpoint);
    for (const slot of [keypair.sendKeySlot, keypair.receiveKeySlot]) {
      lane.native.setKey(lane.handle, slot, new Uint8Array(32).fill(7), CIPHER_NUMBERS[cipher]);
    }
    peer.current = keypair;
    lane.peers[0] = peer;
    lane.receivers.set(INDEX, keypair);
    const tables = buildAllowedIps(prefixes());
    lane.ipv4Routes = tables.ipv4;
    lane.ipv6Routes = tables.ipv6;
    return peer;
  }

  #verbs(arena: Arena): Addon {
    return {
      ...addon,
      sendUdp: (_, descriptors, count) => this.#keep(arena, descriptors, count),
      receiveUdp: (_handle, _family, descriptors, receivesMax, offset) => {
        const count = this.#giveBack(arena, descriptors, receivesMax, offset);
        this.moments.received();
        return count;
      },
      unseal: (handle, descriptors, count, next) => {
        this.moments.unsealStarts();
        const good = addon.unseal(handle, descriptors, count, next);
        this.moments.unsealEnds();
        return good;
      },
      book: (handle, next) => {
        this.moments.historyEnds();
        addon.book(handle, next);
      },
      writeTun: (_, descriptors, count) => {
        for (let write = 0; write < count; write += 1) {
          arena.words[(descriptors >> 2) + write * TUN_WRITE.WORDS + TUN_WRITE.RESULT] = 1;
        }
        this.moments.written(count);
        return count;
      },
    };
  }

  #keep(arena: Arena, descriptors: number, count: number): number {
    this.#groups = [];
    for (let send = 0; send < count; send += 1) {
      const at = (descriptors >> 2) + send * UDP_SEND.WORDS;
      const [offset = 0, length = 0, segmentLength = 0] = arena.words.subarray(at, at + 3);
      this.#groups.push({ offset, length, segmentLength });
      arena.words[at + UDP_SEND.RESULT] = length;
    }
    return count;
  }

  #giveBack(arena: Arena, descriptors: number, receivesMax: number, offset: number): number {
    const groups = this.#groups.splice(0, receivesMax);
    let at = offset;
    for (const [index, group] of groups.entries()) {
      const words = arena.words.subarray((descriptors >> 2) + index * UDP_RECEIVE.WORDS);
      arena.bytes.copyWithin(at, group.offset, group.offset + group.length);
      words[UDP_RECEIVE.OFFSET] = at;
      words[UDP_RECEIVE.LENGTH] = group.length;
      words[UDP_RECEIVE.SEGMENT_LENGTH] = group.segmentLength;
      words[UDP_RECEIVE.TRAFFIC_CLASS] = 0;
      for (let word = 0; word < ENDPOINT.WORDS; word += 1) {
        words[UDP_RECEIVE.ENDPOINT + word] = this.peer.endpoint[word] ?? 0;
      }
      at = Math.ceil((at + group.length) / ALIGNMENT) * ALIGNMENT;
    }
    return groups.length;
  }
}

/** The peer's networks and those of fifteen others, as on a small hub. */
function prefixes(): { address: Uint8Array; length: number; peer: number }[] {
  return Array.from({ length: 16 }, (_, peer) => {
    const six = new Uint8Array(16);
    six.set([0xfd, 0x77, 0, 0, 0, 0, 0, peer]);
    return [
      { address: Uint8Array.of(10, 77, peer, 0), length: 24, peer },
      { address: six, length: 64, peer },
    ];
  }).flat();
}
