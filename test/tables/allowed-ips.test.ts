/** Cryptokey routing tables against a scan of all prefixes, bit by bit. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AllowedIp,
  buildAllowedIps,
  emptyTable,
  lookupIpv4,
  lookupIpv6,
  NO_PEER,
} from '../../src/tables/allowed-ips.ts';
import { scanAllowedIps } from '../reference/allowed-ips.ts';
import { bytesFrom } from '../support/arbitrary-packets.ts';

const BITS = { 4: 32, 16: 128 } as const;

/** Addresses from few distinct bytes, so that prefixes nest, repeat and part at every bit. */
function addresses(length: 4 | 16): fc.Arbitrary<Uint8Array> {
  const byte = fc.constantFrom(0, 1, 0x7f, 0x80, 0x81, 0xff);
  return fc.array(byte, { minLength: length, maxLength: length }).map((bytes) => Uint8Array.from(bytes));
}

function prefixes(length: 4 | 16): fc.Arbitrary<AllowedIp> {
  const edges = [0, 1, 31, 32, 33, 63, 64, 65, 95, 96, 97, 127, 128].filter((bits) => bits <= BITS[length]);
  return fc.record({
    address: addresses(length),
    length: fc.oneof(fc.nat(BITS[length]), fc.constantFrom(...edges)),
    peer: fc.nat(9),
  });
}

describe('allowed IPs', () => {
  for (const length of [4, 16] as const) {
    const family = length === 4 ? 'IPv4' : 'IPv6';

    it(`find the longest ${family} prefix, as a scan of all of them does`, () => {
      const sets = fc.array(prefixes(length), { maxLength: 40 });
      fc.assert(
        fc.property(sets, fc.array(addresses(length), { minLength: 1, maxLength: 20 }), (set, others) => {
          const tables = buildAllowedIps(set);
          for (const address of [...others, ...set.flatMap(neighbours)])
            expect(lookup(tables, address)).toBe(scanAllowedIps(set, address));
        }),
        { numRuns: 150 },
      );
    });

    it(`find each of 10,000 ${family} prefixes, and what is not among them`, () => {
      const set = Array.from({ length: 10_000 }, (_, index): AllowedIp => {
        const address = bytesFrom(index + 1, length);
        address[0] = 10 + (index % 3);
        return { address, length: 8 + (index % (BITS[length] - 7)), peer: index };
      });
      const tables = buildAllowedIps(set);
      for (let index = 0; index < set.length; index += 97) {
        const { address } = set[index];
        const near = Uint8Array.from(address).map((byte, at) => (at === length - 1 ? byte ^ 1 : byte));
        expect(lookup(tables, address)).toBe(scanAllowedIps(set, address));
        expect(lookup(tables, near)).toBe(scanAllowedIps(set, near));
      }
      expect(lookup(tables, new Uint8Array(length).fill(200))).toBe(NO_PEER);
    });

    it(`match nothing in an empty ${family} table`, () => {
      fc.assert(
        fc.property(addresses(length), (address) => {
          const empty = { ipv4: emptyTable(4), ipv6: emptyTable(6) };
          expect(lookup(empty, address)).toBe(NO_PEER);
          expect(lookup(buildAllowedIps([]), address)).toBe(NO_PEER);
        }),
        { numRuns: 20 },
      );
    });

    it(`match every ${family} address by a default route, and only what is not held more closely`, () => {
      const host = new Uint8Array(length).fill(7);
      const tables = buildAllowedIps([
        { address: host, length: BITS[length], peer: 2 },
        { address: new Uint8Array(length).fill(255), length: 0, peer: 1 },
      ]);
      expect(lookup(tables, host)).toBe(2);
      for (const byte of [0, 6, 8, 128, 255]) expect(lookup(tables, new Uint8Array(length).fill(byte))).toBe(1);
    });
  }

  it.each([
    {
      name: 'neighbouring hosts',
      length: 4,
      count: 3_000,
      make: (at: number) => ({ word: 0x0a00_ff00 + at, bits: 32 }),
    },
    { name: 'nets in nets', length: 4, count: 33, make: (at: number) => ({ word: 0xc0a8_5555, bits: at }) },
    {
      name: 'random nets',
      length: 4,
      count: 3_000,
      make: (at: number) => ({ word: scrambled(at), bits: 8 + (at % 25) }),
    },
    {
      name: 'one crowded corner',
      length: 4,
      count: 600,
      make: (at: number) => ({ word: at < 500 ? at : scrambled(at), bits: 32 }),
    },
    { name: 'IPv6 nets in nets', length: 16, count: 129, make: (at: number) => ({ word: 0xfd00_1234, bits: at }) },
    {
      name: 'random IPv6 nets',
      length: 16,
      count: 1_500,
      make: (at: number) => ({ word: scrambled(at), bits: 8 + (at % 121) }),
    },
  ] as const)('of $name are found at their edges as a scan finds them, and take a bounded table', (shape) => {
    const set = Array.from({ length: shape.count }, (_, at) => {
      const { word, bits } = shape.make(at);
      return { address: wordsTo(shape.length, word, scrambled(at + 7)), length: bits, peer: at };
    });
    const tables = buildAllowedIps(set);
    for (const prefix of set.filter((_, at) => at % Math.ceil(set.length / 150) === 0))
      for (const address of neighbours(prefix)) expect(lookup(tables, address)).toBe(scanAllowedIps(set, address));
    const words = (shape.length === 4 ? tables.ipv4 : tables.ipv6).length;
    expect(words).toBeLessThan(64 + 24 * set.length);
  });

  it('that stand twice belong to the last peer that names them', () => {
    const address = Uint8Array.of(10, 1, 2, 3);
    const outside = Uint8Array.of(10, 1, 2, 77);
    const set = [1, 2, 3].map((peer) => ({ address, length: 24, peer }));
    expect(lookup(buildAllowedIps(set), outside)).toBe(3);
    expect(lookup(buildAllowedIps(set.toReversed()), outside)).toBe(1);
  });

  it('do not care for bits behind the prefix, nor for the other family', () => {
    const tables = buildAllowedIps([{ address: Uint8Array.of(10, 1, 255, 255), length: 16, peer: 5 }]);
    expect(lookup(tables, Uint8Array.of(10, 1, 0, 0))).toBe(5);
    expect(lookup(tables, Uint8Array.of(10, 2, 0, 0))).toBe(NO_PEER);
    expect(lookup(tables, Uint8Array.from([10, 1, ...new Uint8Array(14)]))).toBe(NO_PEER);
  });

  it('lie in shared memory, so that all lanes read one copy', () => {
    const { ipv4, ipv6 } = buildAllowedIps([{ address: new Uint8Array(4), length: 0, peer: 0 }]);
    expect(ipv4.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(ipv6.buffer).toBeInstanceOf(SharedArrayBuffer);
  });
});

/** A word that looks random and is always the same for a number. */
function scrambled(at: number): number {
  const mixed = Math.imul(at + 1, 0x9e37_79b1);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

/** An address whose first and last words are given; IPv4 has only the first. */
function wordsTo(length: 4 | 16, first: number, last: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(length));
  if (length === 16) view.setUint32(12, last);
  view.setUint32(0, first);
  return new Uint8Array(view.buffer);
}

/** The address of a prefix, and that with one bit changed: just before its end, just behind it, and in each word. */
function neighbours({ address, length }: AllowedIp): Uint8Array[] {
  const flipped = (bit: number): Uint8Array =>
    address.map((byte, at) => (at === bit >> 3 ? byte ^ (0x80 >> (bit & 7)) : byte));
  return [address, ...[length, Math.max(0, length - 1), 5, 40, 70, 100].map(flipped)];
}

function lookup({ ipv4, ipv6 }: { ipv4: Int32Array; ipv6: Int32Array }, address: Uint8Array): number {
  const view = new DataView(address.buffer, address.byteOffset);
  if (address.length === 4) return lookupIpv4(ipv4, view.getInt32(0));
  return lookupIpv6(ipv6, view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12));
}
