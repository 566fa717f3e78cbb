/** What an authentic message proves: that the peer lives, where it lives, and which keypair it has; and what it may bring in. */
import { beforeEach, describe, expect, it } from 'vitest';
import { InboundPath } from '../../src/inbound/receive.ts';
import { readEndpoint } from '../../src/packet/endpoint.ts';
import { rekeyOnReceiveAgeMs, WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { encodeControlMessage } from '../../src/protocol/control-message.ts';
import type { LaneEvent } from '../../src/tables/lane-messages.ts';
import { type LaneKeypair, type LanePeer, PEER_CELL } from '../../src/tables/peers.ts';
import { encodePacket, type IpHeader } from '../reference/ip.ts';
import { bytesFrom, ipv4Header, ipv6Header, udpPacketBytes } from '../support/arbitrary-packets.ts';
import { endpointOf, FakeLane, padded, timesOf, transportMessage } from '../support/fake-lane.ts';
import { openGate } from '../support/handshake-gate.ts';

let lane: FakeLane;
let path: InboundPath;
let peers: LanePeer[];
let keypairs: LaneKeypair[];

beforeEach(() => {
  lane = new FakeLane();
  peers = [0, 1].map((id) => lane.addPeer(id));
  keypairs = peers.map((peer) => lane.addKeypair(peer, { id: peer.id }));
  lane.route([
    { address: Uint8Array.of(10, 0, 0, 0), length: 24, peer: 0 },
    { address: Uint8Array.of(10, 0, 0, 200), length: 32, peer: 1 },
    { address: ipv6Header(0, 0).source, length: 64, peer: 0 },
    { address: ipv6Header(200, 0).source, length: 128, peer: 1 },
  ]);
  path = new InboundPath(lane.context, openGate(lane));
});

interface Arrival {
  readonly counter?: number;
  readonly source?: ReturnType<typeof endpointOf>;
  /** Bytes of the padded inner packet; by default a packet that peer 0 may send. */
  readonly plaintext?: Uint8Array;
  readonly isForged?: boolean;
}

/** A message on keypair 0 (or another) comes in by itself. */
function receive(
  { counter = 0, source = endpointOf(0), plaintext = innerFrom(5), isForged = false }: Arrival,
  id = 0,
): void {
  const message = transportMessage(1_000 + id, counter, plaintext, id);
  if (isForged) message[message.length - 1] ^= 1;
  lane.arrive([message], source);
  path.turn(4);
}

function innerFrom(from: number): Uint8Array {
  return padded(udpPacketBytes(from, 9, 100));
}

function udp(ip: IpHeader): Uint8Array {
  return padded(encodePacket({ kind: 'udp', ip, sourcePort: 1, destinationPort: 2, payload: bytesFrom(1, 10) }));
}

function eventsOf<Type extends LaneEvent['type']>(type: Type): Extract<LaneEvent, { type: Type }>[] {
  return lane.events.filter((event): event is Extract<LaneEvent, { type: Type }> => event.type === type);
}

function endpointNow(peer: LanePeer): unknown {
  return readEndpoint(new Uint8Array(peer.endpoint.buffer), 0);
}

describe('the source of an inner packet', () => {
  it('must be among the allowed IPs of the peer that sent it, by longest match', () => {
    receive({ plaintext: innerFrom(5) });
    receive({ plaintext: innerFrom(200) }, 1);
    expect(lane.count('TUN_TX')).toBe(2);
    receive({ counter: 1, plaintext: innerFrom(200) });
    receive({ counter: 1, plaintext: innerFrom(5) }, 1);
    expect(lane.count('TUN_TX')).toBe(2);
    expect(lane.drops()).toEqual({ IN_BAD_SOURCE: 2 });
  });

  it('is held to the same rule in IPv6', () => {
    receive({ plaintext: udp(ipv6Header(5, 1)) });
    receive({ plaintext: udp(ipv6Header(200, 1)) }, 1);
    expect(lane.count('TUN_TX')).toBe(2);
    receive({ counter: 1, plaintext: udp(ipv6Header(200, 1)) });
    receive({ counter: 1, plaintext: udp(ipv6Header(5, 1)) }, 1);
    expect(lane.drops()).toEqual({ IN_BAD_SOURCE: 2 });
  });

  it('is looked at anew for each peer and each table, however often it was good', () => {
    receive({ counter: 0 });
    receive({ counter: 0 }, 1);
    expect(lane.drops()).toEqual({ IN_BAD_SOURCE: 1 });
    lane.route([{ address: Uint8Array.of(10, 0, 0, 0), length: 24, peer: 1 }]);
    receive({ counter: 1 });
    receive({ counter: 1 }, 1);
    expect(lane.drops()).toEqual({ IN_BAD_SOURCE: 2 });
    receive({ counter: 2, plaintext: innerFrom(6) }, 1);
    expect(lane.count('TUN_TX')).toBe(3);
  });

  it('is looked at anew in IPv6 as well, all of its words', () => {
    const from = (host: number): Uint8Array => udp(ipv6Header(host, 1));
    const known = ipv6Header(5, 1).source;
    receive({ counter: 0, plaintext: from(5) });
    receive({ counter: 1, plaintext: from(5) });
    expect(lane.count('TUN_TX')).toBe(2);
    receive({ counter: 0, plaintext: from(5) }, 1);
    expect(lane.drops()).toEqual({ IN_BAD_SOURCE: 1 });
    lane.route([
      { address: known, length: 128, peer: 0 },
      { address: ipv6Header(200, 1).source, length: 128, peer: 1 },
    ]);
    receive({ counter: 2, plaintext: from(5) });
    for (const [index, at] of [3, 7, 11, 15].entries()) {
      const source = known.slice();
      source[at] ^= 1;
      receive({ counter: 3 + index, plaintext: udp({ ...ipv6Header(5, 1), source }) });
    }
    expect(lane.count('TUN_TX')).toBe(3);
    expect(lane.drops()).toEqual({ IN_BAD_SOURCE: 5 });
    lane.route([{ address: known, length: 128, peer: 1 }]);
    receive({ counter: 7, plaintext: from(5) });
    expect(lane.drops()).toEqual({ IN_BAD_SOURCE: 6 });
    receive({ counter: 1, plaintext: from(5) }, 1);
    expect(lane.count('TUN_TX')).toBe(4);
  });

  it('that is all zeros is not taken for one that was good, nor one of a family for one of the other', () => {
    const zeros = (length: number): Uint8Array => new Uint8Array(length);
    receive({ counter: 0, plaintext: udp({ ...ipv6Header(5, 1), source: zeros(16) }) });
    receive({ counter: 1, plaintext: udp({ ...ipv4Header(5, 1), source: zeros(4) }) });
    receive({ counter: 2, plaintext: innerFrom(5) });
    receive({ counter: 3, plaintext: udp({ ...ipv6Header(5, 1), source: zeros(16) }) });
    expect(lane.count('TUN_TX')).toBe(1);
    expect(lane.drops()).toEqual({ IN_BAD_SOURCE: 3 });
  });

  it('that nobody may have is dropped', () => {
    receive({ plaintext: udp({ ...ipv4Header(1, 2), source: Uint8Array.of(192, 0, 2, 1) }) });
    expect(lane.drops()).toEqual({ IN_BAD_SOURCE: 1 });
  });

  it('does not matter for what the message proves', () => {
    receive({ plaintext: innerFrom(200), source: endpointOf(7) });
    expect(endpointNow(peers[0])).toEqual(endpointOf(7));
    expect(timesOf(peers[0]).lastReceived).toBe(lane.addon.nowMs);
  });
});

describe('a control message', () => {
  const announcement = encodeControlMessage({ kind: 'announce', capabilities: 3, heard: false });

  it('goes to the control lane without its padding, and nowhere else', () => {
    receive({ plaintext: padded(announcement) });
    const [source, atMs] = [endpointOf(0), lane.addon.nowMs];
    expect(eventsOf('control')).toEqual([{ type: 'control', peer: 0, message: announcement, path: -1, source, atMs }]);
    expect(lane.count('CONTROL_RX')).toBe(1);
    expect(lane.drops()).toEqual({});
    expect(lane.addon.tunWrites).toEqual([]);
  });

  it('of a kind that is not known goes there too, for later versions have more', () => {
    const message = Uint8Array.of(2, 77, 0, 3, 1, 2, 3);
    receive({ plaintext: padded(message) });
    expect(eventsOf('control')).toMatchObject([{ type: 'control', peer: 0, message }]);
  });

  it('that is longer by its header than it is, or too long, is none', () => {
    for (const [counter, plaintext] of [
      Uint8Array.of(1, 1, 0, 13, ...new Uint8Array(12)),
      Uint8Array.of(1, 1, 3, 253, ...new Uint8Array(1_100)),
      Uint8Array.of(1, 1, 0),
    ].entries())
      receive({ counter, plaintext });
    expect(eventsOf('control')).toEqual([]);
    expect(lane.drops()).toEqual({ IN_NOT_IP: 3 });
  });

  it('is handed over 1,024 times a second at most from one peer, which takes nothing from another', () => {
    for (let counter = 0; counter < 1_030; counter += 1) receive({ counter, plaintext: padded(announcement) });
    expect(eventsOf('control').length).toBe(1_024);
    expect(lane.drops()).toEqual({ IN_CONTROL_QUEUE: 6 });
    receive({ plaintext: padded(announcement) }, 1);
    expect(eventsOf('control').length).toBe(1_025);
    lane.addon.nowMs += 1_000;
    receive({ counter: 1_030, plaintext: padded(announcement) });
    expect(eventsOf('control').length).toBe(1_026);
  });

  it('is handed over 4,096 times a second at most from all', () => {
    const many = Array.from({ length: 5 }, (_, at) => lane.addPeer(10 + at));
    const admitted = many.map((peer) => {
      let count = 0;
      for (let message = 0; message < 1_024; message += 1) count += Number(lane.context.admitControl(peer));
      return count;
    });
    expect(admitted).toEqual([1_024, 1_024, 1_024, 1_024, 0]);
  });
});

describe('an inner packet', () => {
  it('that is no IP, or longer by its header than it is, is dropped', () => {
    const cut = udpPacketBytes(5, 9, 100).slice(0, 99);
    for (const [counter, plaintext] of [bytesFrom(1, 16), new Uint8Array(48), cut].entries())
      receive({ counter, plaintext });
    expect(lane.drops()).toEqual({ IN_NOT_IP: 3 });
    expect(lane.count('UDP_RX_UNIQ')).toBe(3);
  });
});

describe('roaming', () => {
  it('follows an authentic message to where it came from, and notes that the control lane is to be told', () => {
    const moved = endpointOf(9, 4);
    receive({ counter: 0, source: moved });
    receive({ counter: 1, source: moved });
    expect(endpointNow(peers[0])).toEqual(moved);
    expect(endpointNow(peers[1])).toEqual(endpointOf(1));
    expect([...lane.context.roamed]).toEqual([peers[0]]);
  });

  it('follows a keepalive as well', () => {
    receive({ source: endpointOf(9), plaintext: new Uint8Array(0) });
    expect(endpointNow(peers[0])).toEqual(endpointOf(9));
  });

  it('follows a change of nothing but port, local address or scope', () => {
    const home = endpointOf(0);
    const changes = [{ port: 1 }, { localAddress: Uint8Array.of(192, 0, 2, 5) }, { scope: 2 }];
    for (const [counter, change] of changes.entries()) {
      receive({ counter, source: { ...home, ...change } });
      expect(endpointNow(peers[0])).toEqual({ ...home, ...change });
    }
    expect([...lane.context.roamed]).toEqual([peers[0]]);
  });

  it('follows from one family to the other, and back', () => {
    const address = Uint8Array.from({ length: 16 }, (_, at) => at + 1);
    const other = {
      ...endpointOf(0),
      family: 6 as const,
      address,
      localAddress: address.toReversed(),
      localInterface: 3,
    };
    for (const [counter, source] of [other, endpointOf(0), other].entries()) {
      lane.arrive([transportMessage(1_000, counter, innerFrom(5), 0)], source, source.family);
      path.turn(source.family);
      expect(endpointNow(peers[0])).toEqual(source);
    }
  });

  it('follows nothing that is forged, replayed, too old or of an unknown keypair', () => {
    receive({ counter: 10_000 });
    receive({ counter: 10_001, source: endpointOf(9), isForged: true });
    receive({ counter: 10_000, source: endpointOf(9) });
    receive({ counter: 1, source: endpointOf(9) });
    lane.arrive([transportMessage(5, 0, innerFrom(5), 0)], endpointOf(9));
    path.turn(4);
    expect(endpointNow(peers[0])).toEqual(endpointOf(0));
    expect(lane.context.roamed.size).toBe(0);
    expect(lane.drops()).toEqual({ IN_BAD_TAG: 1, IN_REPLAY: 1, IN_TOO_OLD: 1, IN_UNKNOWN_INDEX: 1 });
  });

  it('ends where the last new message of a batch came from', () => {
    lane.arrive([transportMessage(1_000, 0, innerFrom(5), 0)], endpointOf(7));
    lane.arrive([transportMessage(1_000, 1, innerFrom(5), 0)], endpointOf(8));
    lane.arrive([transportMessage(1_000, 0, innerFrom(5), 0)], endpointOf(9));
    path.turn(4);
    expect(endpointNow(peers[0])).toEqual(endpointOf(8));
  });
});

describe('the times of a peer', () => {
  it('say when data came, and since when an answer is owed', () => {
    const startMs = lane.addon.nowMs;
    receive({ counter: 0 });
    lane.addon.nowMs += 30;
    receive({ counter: 1 });
    expect(timesOf(peers[0])).toEqual({
      unanswered: 0,
      owed: startMs,
      lastData: startMs + 30,
      lastSent: 0,
      lastReceived: startMs + 30,
    });
    expect(timesOf(peers[1]).lastReceived).toBe(0);
  });

  it('take a keepalive as an answer that owes none', () => {
    peers[0].cells[PEER_CELL.UNANSWERED_SINCE_MS] = 1;
    receive({ plaintext: new Uint8Array(0) });
    expect(timesOf(peers[0])).toMatchObject({ unanswered: 0, owed: 0, lastData: 0, lastReceived: lane.addon.nowMs });
  });

  it('are left alone by what is not authentic or not new', () => {
    receive({ counter: 3 });
    peers[0].cells.fill(0);
    receive({ counter: 3 });
    receive({ counter: 4, isForged: true });
    expect([...peers[0].cells].every((cell) => cell === 0)).toBe(true);
  });

  it('have the peer watched, which is asked for once', () => {
    receive({ counter: 0 });
    receive({ counter: 1 });
    expect(eventsOf('watch')).toEqual([{ type: 'watch', peer: 0 }]);
  });
});

describe('the transfer of a peer', () => {
  it('counts whole datagrams that were new, and only those', () => {
    const message = transportMessage(1_000, 0, innerFrom(5), 0);
    receive({ counter: 0 });
    receive({ counter: 0 });
    receive({ counter: 1, plaintext: new Uint8Array(0) });
    expect(peers[0].cells[peers[0].receivedBytesCell]).toBe(message.length + 32);
    expect(peers[1].cells[peers[1].receivedBytesCell]).toBe(0);
  });
});

describe('the first message on a keypair that is next', () => {
  beforeEach(() => {
    peers[0].current = keypairs[0];
    keypairs.push(lane.addKeypair(peers[0], { id: 2, unconfirmed: true, initiator: false }));
  });

  it('confirms it: the control lane hears of it once, and will promote it', () => {
    receive({ counter: 0, plaintext: new Uint8Array(0) }, 2);
    receive({ counter: 1 }, 2);
    expect(keypairs[2].unconfirmed).toBe(false);
    expect(eventsOf('confirmed')).toEqual([{ type: 'confirmed', peer: 0, keypair: 2 }]);
  });

  it('must be authentic', () => {
    receive({ isForged: true }, 2);
    expect(peers[0].current).toBe(keypairs[0]);
    expect(eventsOf('confirmed')).toEqual([]);
  });

  it('is not one on another keypair', () => {
    receive({}, 0);
    expect(peers[0].current).toBe(keypairs[0]);
    expect(keypairs[2].unconfirmed).toBe(true);
  });
});

describe('receiving on an old keypair', () => {
  const ageMs = rekeyOnReceiveAgeMs(WIREGUARD_TIMING);

  function receiveAtAge(age: number, initiator: boolean, isCurrent: boolean): number {
    const keypair = lane.addKeypair(peers[0], { id: 0, initiator, bornMs: lane.addon.nowMs - age });
    const newer = lane.addKeypair(peers[0], { id: 3 });
    peers[0].current = isCurrent ? keypair : newer;
    receive({});
    expect(lane.count('TUN_TX')).toBe(1);
    return eventsOf('want').length;
  }

  it('makes the initiator ask for a new one 15 s before it ends', () => {
    expect(ageMs).toBe(165_000);
    expect(receiveAtAge(ageMs, true, true)).toBe(1);
  });

  it('asks for nothing before that', () => {
    expect(receiveAtAge(ageMs - 1, true, true)).toBe(0);
  });

  it('asks for nothing on the responder’s side', () => {
    expect(receiveAtAge(ageMs + 10_000, false, true)).toBe(0);
  });

  it('asks for nothing when a newer keypair is current already: a late message is no reason (paper 6.2)', () => {
    expect(receiveAtAge(ageMs, true, false)).toBe(0);
  });
});
