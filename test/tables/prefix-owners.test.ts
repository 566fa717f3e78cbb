/** Who has which prefix, against lists that are searched from end to end. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatPrefix, maskPrefix } from '../../src/control/ip-text.ts';
import { lookupIpv4, NO_PEER } from '../../src/tables/allowed-ips.ts';
import { type Prefix, PrefixOwners } from '../../src/tables/prefix-owners.ts';

const PEERS = 4;
const byte = fc.constantFrom(0, 1, 0x80, 0xff);
const prefix: fc.Arbitrary<Prefix> = fc.constantFrom(4, 16).chain((bytes) =>
  fc.record({
    address: fc.array(byte, { minLength: bytes, maxLength: bytes }).map((address) => Uint8Array.from(address)),
    length: fc.constantFrom(0, 1, 9, 31, 32, 33, 96, 128).map((length) => Math.min(length, bytes * 8)),
  }),
);
const step = fc.oneof(
  { arbitrary: fc.record({ add: prefix, peer: fc.nat(PEERS - 1) }), weight: 6 },
  { arbitrary: fc.record({ remove: prefix, peer: fc.nat(PEERS - 1) }), weight: 2 },
  { arbitrary: fc.record({ clear: fc.nat(PEERS - 1) }), weight: 1 },
);

describe('routing tables', () => {
  const ipv4 = (host: number): Prefix => ({ address: Uint8Array.of(10, 0, 0, host), length: 32 });
  const ipv6 = (host: number): Prefix => ({ address: Uint8Array.of(...new Uint8Array(15), host), length: 128 });

  it('are built anew for the family that changed alone, by whatever changes it', () => {
    const owners = new PrefixOwners();
    for (const host of [1, 2, 3]) owners.add(ipv4(host), 0);
    for (const host of [1, 2, 3]) owners.add(ipv6(host), 1);
    let [four, six] = [owners.table(4), owners.table(6)];
    const changes = (change: () => void): string => {
      change();
      const now = [owners.table(4), owners.table(6)] as const;
      const changed = `${now[0] === four ? '' : '4'}${now[1] === six ? '' : '6'}`;
      [four, six] = now;
      return changed;
    };
    expect(changes(() => {})).toBe('');
    expect(changes(() => owners.add(ipv4(1), 0))).toBe('');
    expect(changes(() => owners.remove(ipv4(9), 0))).toBe('');
    expect(changes(() => owners.add(ipv4(1), 1))).toBe('4');
    expect(changes(() => owners.add(ipv6(4), 1))).toBe('6');
    expect(changes(() => owners.remove(ipv6(4), 1))).toBe('6');
    expect(changes(() => owners.removeAll(0))).toBe('4');
    expect(changes(() => owners.removeAll(1))).toBe('46');
    expect(lookupIpv4(four, 0x0a000001)).toBe(NO_PEER);
  });
});

describe('the owners of prefixes', () => {
  it('are those of a slow list, in order, whatever is added, moved and removed', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const owners = new PrefixOwners();
        const lists: string[][] = Array.from({ length: PEERS }, () => []);
        for (const taken of steps) {
          if ('clear' in taken) {
            expect(owners.removeAll(taken.clear)).toBe(lists[taken.clear].length > 0);
            lists[taken.clear] = [];
            continue;
          }
          const name = formatPrefix(maskPrefix('add' in taken ? taken.add : taken.remove));
          const owner = lists.findIndex((list) => list.includes(name));
          if ('add' in taken) expect(owners.add(taken.add, taken.peer)).toBe(owner !== taken.peer);
          else expect(owners.remove(taken.remove, taken.peer)).toBe(owner === taken.peer);
          if ('add' in taken || owner === taken.peer)
            lists.forEach((list, peer) => {
              lists[peer] = list.filter((held) => held !== name);
            });
          if ('add' in taken) lists[taken.peer].push(name);
        }
        lists.forEach((list, peer) => {
          expect(owners.of(peer).map(formatPrefix)).toEqual(list);
        });
        expect(owners.count).toBe(lists.flat().length);
      }),
      { numRuns: 200 },
    );
  });

  it('move by the hundred thousand from one peer to another, in any order', () => {
    const owners = new PrefixOwners();
    const all = Array.from({ length: 100_000 }, (_, at): Prefix => {
      const mixed = Math.imul(at, 0x9e3779b1) >>> 0;
      return { address: Uint8Array.of(mixed >>> 24, mixed >>> 16, mixed >>> 8, mixed), length: 32 };
    });
    for (const each of all) owners.add(each, 0);
    for (let at = 0; at < all.length; at += 1) owners.add(all[(at * 7_919) % all.length], 1);
    expect(owners.count).toBe(all.length);
    expect(owners.of(0)).toEqual([]);
    expect(owners.of(1).slice(0, 2)).toEqual([all[0], all[7_919]]);
    owners.removeAll(1);
    expect(owners.count).toBe(0);
    expect(owners.add(all[5], 0)).toBe(true);
  });
});
