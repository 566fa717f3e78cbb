/** What parity a lane makes of what it seals, when, and of which datagrams. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import {
  maskCount,
  PARITY_HEADER_LENGTH,
  parityFirst,
  parityIndex,
  parityLength,
  parityMaskHigh,
  parityMaskLow,
  parityNumber,
  parityParities,
} from '../../../src/protocol/parity-message.ts';
import { slowParity } from '../../reference/parity.ts';
import { lanePaths } from '../../support/fake-history.ts';
import { ParityPair, type Sent } from '../../support/parity-pair.ts';

interface Parity {
  readonly first: number;
  readonly places: readonly number[];
  readonly number: number;
  readonly parities: number;
  readonly bytes: Uint8Array;
}

function parityOf({ plaintext }: Sent): Parity {
  const view = new DataView(plaintext.buffer, plaintext.byteOffset, plaintext.length);
  const length = parityLength(view, 0, plaintext.length);
  expect([length > 0, parityIndex(view, 0)]).toEqual([true, 77]);
  const masks = [parityMaskLow(view, 0), parityMaskHigh(view, 0)];
  const places = masks.flatMap((mask, half) =>
    Array.from({ length: 32 }, (_, bit) => half * 32 + bit).filter((place) => (mask >>> (place % 32)) & 1),
  );
  expect(places.length).toBe(masks.reduce((sum, mask) => sum + maskCount(mask), 0));
  const bytes = plaintext.slice(PARITY_HEADER_LENGTH, PARITY_HEADER_LENGTH + length);
  return {
    first: parityFirst(view, 0),
    places,
    number: parityNumber(view, 0),
    parities: parityParities(view, 0),
    bytes,
  };
}

/** Counters of the datagrams of each block, by what its parities say; each parity is held against the slow twin. */
function blocksOf(sent: readonly Sent[]): number[][] {
  const data = sent.filter(({ isParity }) => !isParity);
  const sealed = new Map(data.map(({ counter, datagram }) => [counter, datagram.slice(16)]));
  const parities = sent.filter(({ isParity }) => isParity).map(parityOf);
  for (const { first, places, number, bytes } of parities) {
    const covered = places.map((place) => sealed.get(first + place) ?? new Uint8Array(0));
    expect(bytes).toEqual(slowParity(number, covered, places));
  }
  return parities.filter(({ number }) => number === 0).map(({ first, places }) => places.map((place) => first + place));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, at) => from + at);
}

function keepalives(count: number): void {
  for (let sent = 0; sent < count; sent += 1) pair.outbound.keepalive(pair.sending.peer);
}

let pair: ParityPair;
beforeEach(() => {
  pair = new ParityPair();
});

describe('a full block', () => {
  it('is followed by its parities, in one group, which equal those of the slow twin', () => {
    const sent = pair.send([100, 1_400, 33, 700, 700, 28, 900, 1_200, 60, 61]);
    expect(sent.map(({ isParity }) => isParity)).toEqual([...range(0, 10).map(() => false), true, true]);
    expect(pair.from.addon.udpSends.at(-1)?.datagrams.length).toBe(2);
    expect(blocksOf(sent)).toEqual([range(0, 10)]);
    expect(sent.filter(({ isParity }) => isParity).map((each) => parityOf(each).number)).toEqual([0, 1]);
    expect([pair.from.count('PARITY_TX'), pair.cell('sending', 'PARITY_TX')]).toEqual([2, 2]);
    expect(pair.sending.sendDueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('may span batches, with parities of the block before in between', () => {
    const sent = [pair.send(range(0, 13).map(() => 500)), pair.send(range(0, 7).map(() => 300))].flat();
    expect(blocksOf(sent)).toEqual([range(0, 10), [...range(10, 13), ...range(15, 22)]]);
  });

  it('is cut where its counters would span more than a mask', () => {
    pair = new ParityPair({ data: 32 });
    const sent = [pair.send([100]), pair.take(() => keepalives(63))];
    sent.push(pair.send([100]), pair.pass(20));
    expect(blocksOf(sent.flat())).toEqual([[0], [64]]);
  });
});

describe('a block that is not full', () => {
  it('is closed when its first datagram has waited, and gets its share of parities', () => {
    pair = new ParityPair({ parity: 4 });
    const sent = pair.send([100, 200, 300]);
    expect(sent.some(({ isParity }) => isParity)).toBe(false);
    expect(pair.sending.sendDueMs).toBe(pair.from.addon.nowMs + 20);
    expect(pair.from.context.due.ms).toBe(pair.from.addon.nowMs + 20);
    expect(pair.pass(19)).toEqual([]);
    const parities = pair.pass(1);
    expect(blocksOf([...sent, ...parities])).toEqual([[0, 1, 2]]);
    expect(parities.map((each) => parityOf(each).parities)).toEqual([2, 2]);
    expect(pair.sending.sendDueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('is closed by another keypair', () => {
    const sent = pair.send([100, 200]);
    const { peer } = pair.sending;
    peer.current = pair.from.addKeypair(peer, { id: 0, localIndex: 5, remoteIndex: 99 });
    const parity = pair.send([300]).filter(({ isParity }) => isParity);
    expect(blocksOf([...sent, ...parity])).toEqual([[0, 1]]);
  });
});

describe('parity', () => {
  it('is not made for what is no data, nor of itself', () => {
    pair.take(() => keepalives(12));
    expect([pair.sending.sendDueMs, pair.pass(30)]).toEqual([Number.POSITIVE_INFINITY, []]);
  });

  it('is not made while the peer does not know it', () => {
    pair.sending.setPaths(lanePaths([]));
    expect(pair.send(range(0, 20).map(() => 100)).some(({ isParity }) => isParity)).toBe(false);
    expect(pair.sending.sendDueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('is left out without a keypair to send it with', () => {
    pair.send([100]);
    pair.sending.peer.current = null;
    expect(pair.pass(20)).toEqual([]);
    expect([pair.from.count('PARITY_TX'), pair.sending.sendDueMs]).toEqual([0, Number.POSITIVE_INFINITY]);
  });

  it('of datagrams too long for all to be summed at once goes in several groups', () => {
    pair = new ParityPair({ data: 2, parity: 8 });
    pair.from.context.limits.mtu = 12_000;
    const sent = pair.send([11_900, 11_000]);
    expect(blocksOf(sent)).toEqual([[0, 1]]);
    expect(sent.filter(({ isParity }) => isParity).map((each) => parityOf(each).number)).toEqual(range(0, 8));
  });

  it('covers every datagram once, however they come', () => {
    const batch = fc.array(fc.integer({ min: 28, max: 1_400 }), { minLength: 1, maxLength: 30 });
    const step = fc.oneof(batch, fc.integer({ min: 1, max: 25 }));
    const block = fc.tuple(fc.integer({ min: 1, max: 32 }), fc.integer({ min: 1, max: 8 }));
    fc.assert(
      fc.property(block, fc.array(step, { maxLength: 8 }), ([data, parity], steps) => {
        pair = new ParityPair({ data, parity });
        const sent = steps.flatMap((each) => (typeof each === 'number' ? pair.pass(each) : pair.send(each)));
        sent.push(...pair.pass(20));
        const blocks = blocksOf(sent);
        expect(blocks.flat()).toEqual(sent.filter(({ isParity }) => !isParity).map(({ counter }) => counter));
        for (const counters of blocks) expect(counters.length).toBeLessThanOrEqual(data);
      }),
      { numRuns: 30 },
    );
  });
});
