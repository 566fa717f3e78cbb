/** Datagrams of the tunnel's own that a route leads back into it. */
import { beforeEach, describe, expect, it } from 'vitest';
import { isOwnDatagram } from '../../src/outbound/loop.ts';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import type { LanePeer } from '../../src/tables/peers.ts';
import { encodePacket, type IpHeader } from '../reference/ip.ts';
import { bytesFrom, ipv4Header, ipv6Header } from '../support/arbitrary-packets.ts';
import { giveHistory, lanePath, lanePaths } from '../support/fake-history.ts';
import { FakeLane } from '../support/fake-lane.ts';

const PORT = 51_820;
const REMOTE_INDEX = 0xfedcba98;
const HEADERS = [ipv4Header(1, 2), ipv6Header(1, 2)] as const;

describe.for(HEADERS)('a packet to the endpoint', (ip) => {
  const lane = new FakeLane();
  const at = lane.arena.tunIn + 17;
  let peer: LanePeer;
  beforeEach(() => {
    peer = lane.addPeer(0, endpointAt(ip));
    peer.current = lane.addKeypair(peer, { id: 0, localIndex: 5, remoteIndex: REMOTE_INDEX });
  });

  function isOwn(payload: Uint8Array, change: (packet: Uint8Array) => Uint8Array = (packet) => packet): boolean {
    const packet = encodePacket({ kind: 'udp', ip, sourcePort: 1, destinationPort: PORT, payload });
    lane.arena.bytes.set(change(packet), at);
    return isOwnDatagram(lane.arena.view, at, peer);
  }

  it('is ours if it carries a transport message with the receiver index of the present keypair', () => {
    expect(isOwn(message(4, REMOTE_INDEX))).toBe(true);
    expect(isOwn(message(4, REMOTE_INDEX).subarray(0, 8))).toBe(true);
  });

  it('is not if anything else is in it', () => {
    expect(isOwn(message(4, REMOTE_INDEX + 1))).toBe(false);
    expect(isOwn(message(1, REMOTE_INDEX))).toBe(false);
    expect(isOwn(message(0x104, REMOTE_INDEX))).toBe(false);
    expect(isOwn(message(4, REMOTE_INDEX).subarray(0, 7))).toBe(false);
    expect(isOwn(bytesFrom(1, 0))).toBe(false);
  });

  it('is not while there is no keypair', () => {
    peer.current = null;
    expect(isOwn(message(4, REMOTE_INDEX))).toBe(false);
  });

  it('is not if it goes to another port, by another protocol, or to another address', () => {
    const [port, protocol, words] = ip.version === 4 ? [22, 9, [16]] : [42, 6, [24, 28, 32, 36]];
    for (const place of [port, protocol, ...words]) {
      expect(isOwn(message(4, REMOTE_INDEX), (packet) => flipped(packet, place))).toBe(false);
    }
  });

  it('is ours if it is the first fragment of such a message, and not if it is a later one', () => {
    expect(isOwn(message(4, REMOTE_INDEX), (packet) => fragment(packet, ip.version, 0))).toBe(true);
    expect(isOwn(message(4, REMOTE_INDEX), (packet) => fragment(packet, ip.version, 8))).toBe(false);
  });

  it('is ours if it goes to one of the paths of the peer', () => {
    peer.endpoint.fill(0);
    const history = giveHistory(lane, peer);
    history.setPaths(lanePaths([lanePath(0, 'first'), lanePath(6, 'idle', { endpoint: endpointAt(ip) })]));
    expect(isOwn(message(4, REMOTE_INDEX))).toBe(true);
    expect(isOwn(message(4, REMOTE_INDEX + 1))).toBe(false);
    history.setPaths(lanePaths([lanePath(0, 'first')]));
    expect(isOwn(message(4, REMOTE_INDEX))).toBe(false);
  });

  it('is not ours for a peer elsewhere or nowhere', () => {
    peer.endpoint[2] = 0;
    peer.endpoint[5] = 0;
    expect(isOwn(message(4, REMOTE_INDEX))).toBe(false);
    peer.endpoint.fill(0);
    expect(isOwn(message(4, REMOTE_INDEX))).toBe(false);
  });
});

function endpointAt({ version, destination }: IpHeader): Endpoint {
  return { family: version, address: destination, port: PORT, scope: 0, localAddress: null, localInterface: 0 };
}

function message(type: number, receiver: number): Uint8Array {
  const bytes = Buffer.alloc(48, 0xaa);
  bytes.writeUInt32LE(type, 0);
  bytes.writeUInt32LE(receiver, 4);
  return bytes;
}

function flipped(packet: Uint8Array, place: number): Uint8Array {
  const copy = Uint8Array.from(packet);
  copy[place] = (copy[place] ?? 0) ^ 1;
  return copy;
}

/** The packet as a fragment that more follow, at an offset of bytes. */
function fragment(packet: Uint8Array, version: 4 | 6, offset: number): Uint8Array {
  const flagged = Buffer.from(packet);
  if (version === 4) {
    flagged.writeUInt16BE(0x2000 | (offset / 8), 6);
    return flagged;
  }
  const header = Buffer.from([flagged[6] ?? 0, 0, 0, 0, 0, 0, 0, 1]);
  header.writeUInt16BE(offset | 1, 2);
  flagged[6] = 44;
  flagged.writeUInt16BE(flagged.readUInt16BE(4) + 8, 4);
  return Buffer.concat([flagged.subarray(0, 40), header, flagged.subarray(40)]);
}
