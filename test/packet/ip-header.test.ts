/** The checksum helpers against a twin that adds word by word, and the length check of IP packets against its rules. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foldSmallSum, ipPacketLength, sumWords } from '../../src/packet/ip-header.ts';
import { onesSum } from '../reference/internet-checksum.ts';
import { encodePacket } from '../reference/ip.ts';
import { anyPackets } from '../support/arbitrary-packets.ts';

const NOT_IP = -1;

describe('sums of headers', () => {
  it('equal the sum of RFC 1071 once they are folded, wherever the header lies', () => {
    const header = fc.uint8Array({ maxLength: 120 }).map((bytes) => bytes.slice(0, bytes.length & ~1));
    fc.assert(
      fc.property(header, fc.nat(3), (bytes, before) => {
        const view = viewOf(Uint8Array.from([...new Uint8Array(before).fill(255), ...bytes, 255, 255]));
        expect(foldSmallSum(sumWords(view, before, bytes.length))).toBe(onesSum(bytes));
      }),
    );
  });

  it('fold to 16 bits without losing a carry, up to 2^31 - 1', () => {
    const edges = [0, 1, 0xffff, 0x1_0000, 0x1_ffff, 0xffff_0000 >>> 1, 2 ** 31 - 2, 2 ** 31 - 1];
    const sums = fc.oneof(fc.nat(2 ** 31 - 1), fc.constantFrom(...edges));
    fc.assert(
      fc.property(sums, (sum) => {
        const folded = foldSmallSum(sum);
        expect(folded % 0xffff).toBe(sum % 0xffff);
        expect(folded === 0).toBe(sum === 0);
        expect(folded).toBeLessThanOrEqual(0xffff);
      }),
    );
  });
});

describe('the length of an IP packet', () => {
  it('is what its header says, however much lies behind it', () => {
    fc.assert(
      fc.property(anyPackets(0, 200), fc.nat(20), (packet, padding) => {
        const bytes = encodePacket(packet);
        const view = viewOf(Uint8Array.from([9, ...bytes, ...new Uint8Array(padding)]));
        expect(ipPacketLength(view, 1, bytes.length + padding)).toBe(bytes.length);
      }),
      { numRuns: 50 },
    );
  });

  it('is refused when a single byte of the packet is missing', () => {
    fc.assert(
      fc.property(anyPackets(0, 100), fc.nat(), (packet, cut) => {
        const bytes = encodePacket(packet);
        const available = cut % bytes.length;
        expect(ipPacketLength(viewOf(bytes.slice(0, available)), 0, available)).toBe(NOT_IP);
      }),
      { numRuns: 50 },
    );
  });

  it('is refused for versions other than 4 and 6', () => {
    for (const version of [0, 1, 2, 3, 5, 7, 8, 15]) {
      const bytes = new Uint8Array(60);
      bytes[0] = version * 16 + 5;
      bytes[3] = 60;
      expect(ipPacketLength(viewOf(bytes), 0, 60), `version ${version}`).toBe(NOT_IP);
    }
  });

  it('is refused for an IPv4 header shorter than 20 bytes or longer than the packet', () => {
    const packet = (headerWords: number, totalLength: number): Uint8Array =>
      Uint8Array.from([0x40 + headerWords, 0, 0, totalLength, ...new Uint8Array(56)]);
    expect(ipPacketLength(viewOf(packet(5, 20)), 0, 60)).toBe(20);
    expect(ipPacketLength(viewOf(packet(4, 20)), 0, 60)).toBe(NOT_IP);
    expect(ipPacketLength(viewOf(packet(5, 19)), 0, 60)).toBe(NOT_IP);
    expect(ipPacketLength(viewOf(packet(15, 59)), 0, 60)).toBe(NOT_IP);
    expect(ipPacketLength(viewOf(packet(15, 60)), 0, 60)).toBe(60);
  });

  it('is told without reading outside, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const length = ipPacketLength(viewOf(bytes), 0, bytes.length);
        expect(length === NOT_IP || (length >= 20 && length <= bytes.length)).toBe(true);
      }),
    );
  });
});

/** A view that ends where the bytes end, so that reading on is a RangeError. */
function viewOf(bytes: Uint8Array): DataView {
  return new DataView(Uint8Array.from(bytes).buffer);
}
