/** Writes to the TUN: batches within their limits, and what the TUN refuses, counted packet by packet. */
import { beforeEach, describe, expect, it } from 'vitest';
import { TunWriter } from '../../src/inbound/write.ts';
import { LIMIT } from '../../src/packet/arena.ts';
import { bytesFrom } from '../support/arbitrary-packets.ts';
import { FakeLane } from '../support/fake-lane.ts';

const VIRTIO_LENGTH = 10;
let lane: FakeLane;
let writer: TunWriter;

beforeEach(() => {
  lane = new FakeLane();
  writer = new TunWriter(lane.context);
});

/** Appends a write of `pieces` pieces of 20 bytes that carries as many packets. */
function append(pieces: number): void {
  const list = Int32Array.from({ length: pieces * 2 }, (_, word) =>
    word % 2 === 0 ? lane.arena.udpIn + word * 10 : 20,
  );
  writer.append(list, 0, pieces, pieces, pieces * 20);
}

describe('the writer', () => {
  it('puts the pieces of a write together, from wherever they stand in a list', () => {
    lane.arena.bytes.set(bytesFrom(1, 100), lane.arena.udpIn);
    const { udpIn } = lane.arena;
    writer.append(Int32Array.of(9, 9, udpIn, 15, udpIn + 40, 5), 2, 2, 2, 10);
    writer.flush();
    const expected = Uint8Array.from([...bytesFrom(1, 100).slice(0, 15), ...bytesFrom(1, 100).slice(40, 45)]);
    expect(lane.addon.tunWrites.map(({ virtio, packet }) => [...virtio, ...packet])).toEqual([[...expected]]);
  });

  it('writes nothing when there is nothing, and everything once', () => {
    writer.flush();
    append(1);
    writer.flush();
    writer.flush();
    expect(lane.addon.tunWrites.length).toBe(1);
    expect([lane.count('TUN_TX'), lane.count('TUN_TX_BYTES')]).toEqual([1, 20]);
  });

  it('makes room by writing when it has as many writes as it can hold', () => {
    for (let write = 0; write < LIMIT.WRITES + 3; write += 1) append(1);
    expect(lane.addon.tunWrites.length).toBe(LIMIT.WRITES);
    writer.flush();
    expect(lane.addon.tunWrites.length).toBe(LIMIT.WRITES + 3);
    expect(lane.count('TUN_TX')).toBe(LIMIT.WRITES + 3);
  });

  it('makes room by writing when it has as many pieces as it can hold', () => {
    const each = 100;
    const total = Math.floor(LIMIT.PIECES / each) + 1;
    for (let write = 0; write < total; write += 1) append(each);
    expect(lane.addon.tunWrites.length).toBe(total - 1);
    writer.flush();
    expect(lane.addon.tunWrites.map(({ pieces }) => pieces)).toEqual(new Array(total).fill(each));
    expect(lane.count('TUN_TX')).toBe(total * each);
    expect(lane.count('TUN_TX_BYTES')).toBe(total * each * 20);
  });

  it.each([
    ['EIO', 5, 'IN_TUN_DOWN'],
    ['EAGAIN', 11, 'IN_TUN_FULL'],
    ['ENOBUFS', 105, 'IN_TUN_FULL'],
    ['EPERM', 1, 'IN_TUN_REFUSED'],
    ['ENOMEM', 12, 'IN_TUN_REFUSED'],
  ])('counts each packet of a write that the TUN refuses: %s', (_, errno, reason) => {
    lane.addon.writeErrno = ({ pieces }) => (pieces === 3 ? errno : 0);
    for (const pieces of [1, 3, 2, 3]) append(pieces);
    writer.flush();
    expect(lane.drops()).toEqual({ [reason]: 6 });
    expect([lane.count('TUN_TX'), lane.count('TUN_TX_BYTES')]).toEqual([3, 60]);
    expect(lane.addon.tunWrites.map(({ packet }) => packet.length + VIRTIO_LENGTH)).toEqual([20, 40]);
  });
});
