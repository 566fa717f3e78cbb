/** The map of the arena: what native code relies on when it is handed offsets. */
import { describe, expect, it } from 'vitest';
import {
  ACCUMULATE,
  ENDPOINT,
  HANDSHAKE,
  HANDSHAKE_KEYS,
  SEAL,
  TUN_READ,
  TUN_WRITE,
  UDP_RECEIVE,
  UDP_SEND,
  UNSEAL,
} from '../../src/native/layout.ts';
import { Arena, LIMIT, SUPER_DATAGRAM_BYTES_MAX, SUPER_PACKET_BYTES_MAX } from '../../src/packet/arena.ts';

/** What native code takes in one call. */
const NATIVE_BATCH_MAX = 1_024;
/** Room that native code wants for one more TUN read or receive. */
const NATIVE_TUN_ROOM = 65_568;
const NATIVE_UDP_ROOM = 65_536;

function regionsOf(arena: Arena): [string, number, number][] {
  return [
    ['tunReads', arena.tunReads, LIMIT.TUN_READS * TUN_READ.WORDS * 4],
    ['seals', arena.seals, LIMIT.SEALS * SEAL.WORDS * 4],
    ['sends', arena.sends, LIMIT.SENDS * UDP_SEND.WORDS * 4],
    ['sendEndpoints', arena.sendEndpoints, LIMIT.SENDS * ENDPOINT.WORDS * 4],
    ['receives', arena.receives, LIMIT.RECEIVES * UDP_RECEIVE.WORDS * 4],
    ['unseals', arena.unseals, LIMIT.UNSEALS * UNSEAL.WORDS * 4],
    ['writes', arena.writes, LIMIT.WRITES * TUN_WRITE.WORDS * 4],
    ['pieces', arena.pieces, LIMIT.PIECES * 8],
    ['accumulates', arena.accumulates, LIMIT.ACCUMULATES * ACCUMULATE.WORDS * 4],
    ['handshakes', arena.handshakes, LIMIT.HANDSHAKES * HANDSHAKE.WORDS * 4],
    ['cookies', arena.cookies, LIMIT.HANDSHAKES * HANDSHAKE.WORDS * 4],
    ['handshakeKeys', arena.handshakeKeys, HANDSHAKE_KEYS.WORDS * 4],
    ['segmentHeaders', arena.segmentHeaders, arena.segmentHeadersLength],
    ['tunIn', arena.tunIn, arena.tunInLength],
    ['udpOut', arena.udpOut, arena.udpOutLength],
    ['udpIn', arena.udpIn, arena.udpInLength],
    ['staged', arena.staged, arena.stagedLength],
    ['controlOut', arena.controlOut, arena.controlOutLength],
    ['histories', arena.histories, arena.historiesLength],
  ];
}

describe('the arena', () => {
  const arena = new Arena(100_001, 200_003);
  const regions = regionsOf(arena);

  it('lists every region that it has', () => {
    const offsets = Object.entries(arena).filter(([name, value]) => typeof value === 'number' && !/Length$/.test(name));
    expect(regions.map(([name]) => name).sort()).toEqual(offsets.map(([name]) => name).sort());
  });

  it('has regions that do not overlap and end within it', () => {
    const sorted = regions.toSorted((left, right) => left[1] - right[1]);
    for (const [index, [name, offset, length]] of sorted.entries()) {
      const end = sorted[index + 1]?.[1] ?? arena.bytes.length;
      expect(length, name).toBeGreaterThan(0);
      expect(offset + length, `${name} ends`).toBeLessThanOrEqual(end);
    }
  });

  it('starts every region at a multiple of 64 bytes', () => {
    expect(regions.filter(([, offset]) => offset % 64 !== 0)).toEqual([]);
  });

  it('shows the same bytes in all its views', () => {
    arena.view.setInt32(arena.seals, 0x01020304, true);
    expect(arena.words[arena.seals >> 2]).toBe(0x01020304);
    expect([...arena.bytes.slice(arena.seals, arena.seals + 4)]).toEqual([4, 3, 2, 1]);
    expect(arena.bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
  });

  it('keeps batches within what one native call takes', () => {
    const { TUN_READS, SEALS, SENDS, RECEIVES, UNSEALS, WRITES, PIECES } = LIMIT;
    for (const most of [TUN_READS, SEALS, SENDS, RECEIVES, UNSEALS, WRITES, PIECES])
      expect(most).toBeLessThanOrEqual(NATIVE_BATCH_MAX);
  });

  it('has room for one more super-packet or super-datagram when the limit in bytes is just missed', () => {
    expect(SUPER_PACKET_BYTES_MAX).toBeGreaterThanOrEqual(NATIVE_TUN_ROOM);
    expect(SUPER_DATAGRAM_BYTES_MAX).toBeGreaterThanOrEqual(NATIVE_UDP_ROOM);
    expect(arena.tunInLength - LIMIT.TUN_READ_BYTES).toBeGreaterThanOrEqual(NATIVE_TUN_ROOM);
    expect(arena.udpInLength - LIMIT.RECEIVE_BYTES).toBeGreaterThanOrEqual(NATIVE_UDP_ROOM);
  });

  it('has room for the longest header of a segment even in an empty batch', () => {
    expect(arena.segmentHeadersLength).toBeGreaterThanOrEqual(LIMIT.SEGMENT_HEADER_BYTES);
  });
});
