/** What a lane remakes from parity: all that can be, nothing that was not sent, and nothing more than it has room for. */
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { closeFec } from '../../../src/history/fec/fec.ts';
import { BLOCK_PARITIES_MAX, writeParity } from '../../../src/protocol/parity-message.ts';
import { seededRandom } from '../../protocol/support.ts';
import { udpPacketBytes } from '../../support/arbitrary-packets.ts';
import { transportMessage } from '../../support/fake-lane.ts';
import { ParityPair, type Sent } from '../../support/parity-pair.ts';

const TEN: readonly number[] = [100, 1_400, 33, 700, 700, 28, 900, 1_200, 60, 61];

let pair: ParityPair;
beforeEach(() => open());

/** A pair whose receiver has got parity before, so that it keeps what comes. */
function open(...[fec]: ConstructorParameters<typeof ParityPair>): void {
  pair = new ParityPair(fec);
  const block = pair.send(
    Array.from({ length: fec?.data ?? 10 }, () => 100),
    900,
  );
  pair.arrive(block);
  pair.to.reset();
  pair.receiving.cells.fill(0);
}

function packets(lengths: readonly number[]): Uint8Array[] {
  return lengths.map((length, at) => udpPacketBytes(9, 0, length, 2 * at));
}

/** Contents, whatever the order. */
function sorted(all: readonly Uint8Array[]): string[] {
  return all.map((bytes) => Buffer.from(bytes).toString('hex')).sort();
}

function without(sent: readonly Sent[], ...lost: number[]): Sent[] {
  return sent.filter((_, at) => !lost.includes(at));
}

describe('what is missing of a block', () => {
  it('is remade from as many parities, and delivered', () => {
    const sent = pair.send(TEN);
    expect(sorted(pair.arrive(without(sent, 1, 5)))).toEqual(sorted(packets(TEN)));
    expect([pair.to.count('PARITY_RX'), pair.to.count('REPAIRED_RX')]).toEqual([2, 2]);
    expect([pair.cell('receiving', 'FILLED_PARITY'), pair.cell('receiving', 'REMADE_REFUSED')]).toEqual([2, 0]);
    expect(pair.to.drops()).toEqual({});
  });

  it('is not remade from fewer', () => {
    const sent = pair.send(TEN);
    expect(sorted(pair.arrive(without(sent, 1, 5, 11)))).toEqual(
      sorted(packets(TEN).filter((_, at) => at !== 1 && at !== 5)),
    );
    expect(pair.to.count('REPAIRED_RX')).toBe(0);
  });

  it('is remade when a late one makes parities suffice, once', () => {
    const sent = pair.send(TEN);
    pair.arrive(without(sent, 1, 4, 5));
    expect(sorted(pair.arrive(sent.slice(4, 5)))).toEqual(sorted([1, 4, 5].map((at) => packets(TEN)[at])));
    expect(pair.arrive([sent[1], sent[5]])).toEqual([]);
    expect(pair.to.drops()).toEqual({ IN_REPLAY: 2 });
  });

  it('is remade by the first parity that suffices; the next does nothing', () => {
    const sent = pair.send(TEN);
    expect(pair.arrive(without(sent, 3)).length).toBe(10);
    expect([pair.to.count('REPAIRED_RX'), pair.cell('receiving', 'REMADE_REFUSED')]).toEqual([1, 0]);
  });

  it('is remade although parity comes before the rest', () => {
    const sent = pair.send(TEN);
    const [parities, data] = [sent.slice(10), sent.slice(0, 10)];
    pair.arrive(parities);
    expect(sorted(pair.arrive(without(data, 0, 9)))).toEqual(sorted(packets(TEN)));
  });

  it('of a keypair that is gone is remade no more', () => {
    const sent = pair.send(TEN);
    pair.arrive(without(sent, 1, 10, 11));
    pair.to.context.receivers.delete(77);
    pair.arrive(sent.slice(10));
    expect(pair.to.count('REPAIRED_RX')).toBe(0);
  });

  it('equals what was sent, whatever is lost, doubled, late, or forged before', () => {
    const block = fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: BLOCK_PARITIES_MAX }));
    const lengths = fc.array(fc.integer({ min: 48, max: 1_400 }), { minLength: 1, maxLength: 60 });
    const fates = fc.infiniteStream(fc.integer({ min: 0, max: 99 }));
    let remade = 0;
    fc.assert(
      fc.property(block, lengths, fc.integer({ min: 0, max: 30 }), fates, ([data, parity], given, loss, stream) => {
        open({ data, parity });
        const sent = [...pair.send(given), ...pair.pass(20)];
        const came = sent.map((each) => ({ each, fate: stream.next().value }));
        const arrived = came.filter(({ fate }) => fate >= loss);
        const late = arrived.filter(({ fate }) => fate > 97);
        const order = [
          ...arrived.filter(({ fate }) => fate <= 97),
          ...late,
          ...arrived.filter(({ fate }) => fate > 90),
        ];
        const junk = order.filter(({ fate }) => fate % 7 === 0).map(({ each }) => forged(each));
        expect(pair.arrive(junk)).toEqual([]);
        const written = sorted(pair.arrive(order.map(({ each }) => each)));
        expect(new Set(written).size).toBe(written.length);
        const all = sorted(packets(given));
        expect(written.every((packet) => all.includes(packet))).toBe(true);
        expect(written.length).toBe(
          expectedCount(
            sent,
            arrived.map(({ each }) => each),
            data,
            parity,
          ),
        );
        remade += pair.to.count('REPAIRED_RX');
      }),
      { numRuns: 60 },
    );
    expect(remade).toBeGreaterThan(5);
  });
});

/** Every block whose losses its parities make up for is whole; of the others, what came. */
function expectedCount(sent: readonly Sent[], came: readonly Sent[], data: number, parity: number): number {
  const counters = new Set(came.map(({ counter }) => counter));
  let count = 0;
  const datagrams = sent.filter(({ isParity }) => !isParity);
  let parities = sent.filter(({ isParity }) => isParity);
  for (let from = 0; from < datagrams.length; from += data) {
    const block = datagrams.slice(from, from + data);
    const own = parities.slice(0, Math.ceil((parity * block.length) / data));
    parities = parities.slice(own.length);
    const there = block.filter(({ counter }) => counters.has(counter)).length;
    const usable = own.filter(({ counter }) => counters.has(counter)).length;
    count += block.length - there <= usable ? block.length : there;
  }
  return count;
}

function forged(sent: Sent): Sent {
  const datagram = Uint8Array.from(sent.datagram);
  datagram[datagram.length - 1] ^= 1;
  return { ...sent, datagram };
}

describe('a peer that lies', () => {
  /** A parity message as the peer, which has the key, may seal any. */
  function lie(counter: number, write: (view: DataView) => void, length = 200): Sent {
    const plaintext = new Uint8Array(length);
    write(new DataView(plaintext.buffer));
    return { datagram: transportMessage(77, counter, plaintext, 0), counter, plaintext, isParity: true };
  }

  it('by wrong parity remakes nothing that passes its tag', () => {
    const sent = pair.send(TEN);
    const wrong = sent.slice(10).map(({ counter, plaintext }) => {
      const changed = Uint8Array.from(plaintext);
      changed[200] ^= 1;
      return lie(counter, (view) => new Uint8Array(view.buffer).set(changed), changed.length);
    });
    expect(pair.arrive([...without(sent, 1, 10, 11), ...wrong]).length).toBe(9);
    expect(pair.cell('receiving', 'REMADE_REFUSED')).toBe(1);
    expect([pair.to.drops(), pair.to.count('REPAIRED_RX')]).toEqual([{}, 0]);
  });

  it('by wrong lengths has them refused', () => {
    const sent = pair.send(TEN);
    const { counter, plaintext } = sent[10];
    const changed = Uint8Array.from(plaintext);
    changed[28] ^= 0x40;
    const wrong = lie(counter, (view) => new Uint8Array(view.buffer).set(changed), changed.length);
    expect(pair.arrive([...without(sent, 1, 10, 11), wrong]).length).toBe(9);
    expect(pair.cell('receiving', 'REMADE_REFUSED')).toBe(1);
  });

  it('about the keypair, or the block, has that refused', () => {
    const sent = pair.send(TEN);
    pair.to.addKeypair(pair.to.addPeer(1), { id: 1, localIndex: 88 });
    const [at] = sent.slice(10).map(({ counter }) => counter);
    pair.arrive([
      ...sent.slice(0, 9),
      lie(at + 1, (view) => writeParity(view, 0, 88, 10, 3, 0, 0, 2, 100)),
      lie(at + 2, (view) => writeParity(view, 0, 99, 10, 3, 0, 0, 2, 100)),
      lie(at + 3, (view) => writeParity(view, 0, 77, 10, 2, 0, 0, 2, 100)),
      lie(at + 4, (view) => writeParity(view, 0, 77, 10, 3, 0, 2, 2, 100)),
      lie(at + 5, (view) => writeParity(view, 0, 77, 10, 3, 0, 0, 2, 2_000)),
    ]);
    expect(pair.cell('receiving', 'PARITY_REFUSED')).toBe(4);
    pair.arrive([
      lie(at + 6, (view) => writeParity(view, 0, 77, 5_000, 3, 0, 0, 2, 100)),
      lie(at + 7, (view) => writeParity(view, 0, 77, 5_000, 3, 0, 1, 2, 101)),
      lie(at + 8, (view) => writeParity(view, 0, 77, 5_000, 5, 0, 1, 2, 100)),
    ]);
    expect(pair.cell('receiving', 'PARITY_REFUSED')).toBe(6);
    // The longer one is no control message at all.
    expect(pair.to.drops()).toEqual({ IN_NOT_IP: 1 });
  });

  it('by parity for blocks without end gets no memory beyond its part, and hinders no true ones', () => {
    const before = pair.to.context.historyPool.take(4_096);
    for (let round = 0; round < 40; round += 1) {
      const lies = Array.from({ length: 60 }, (_, at) =>
        lie(
          100_000 + round * 60 + at,
          (view) => writeParity(view, 0, 77, (round * 60 + at) * 7, 0x55, 0, 0, 1, 1_300),
          1_400,
        ),
      );
      expect(pair.arrive(lies)).toEqual([]);
    }
    expect(pair.to.context.historyPool.take(4_096)).toBe(before + 4_096);
    expect(pair.to.dropsTotal()).toBe(0);
  });

  it('with any messages at all is harmless (seeded)', () => {
    const random = seededRandom(7);
    const below = (limit: number): number => Math.floor(random() * limit);
    const all = new Set(sorted(packets(TEN)));
    for (let round = 0; round < 60; round += 1) {
      open({ data: 1 + below(12), parity: 1 + below(8) });
      const sent = [...pair.send(TEN), ...pair.pass(20)];
      const kept = sent.filter(({ isParity }) => isParity || below(4) > 0);
      const mutated = kept.map((each) => {
        if (!each.isParity || below(2) === 0) return each;
        const plaintext = Uint8Array.from(each.plaintext);
        for (let change = 0; change <= below(3); change += 1) plaintext[2 + below(60)] = below(256);
        return { ...each, datagram: transportMessage(77, each.counter, plaintext, 0) };
      });
      for (const packet of sorted(pair.arrive(mutated))) expect(all.has(packet)).toBe(true);
    }
  });
});

describe('memory', () => {
  it('is taken with the first parity, and given back', () => {
    pair = new ParityPair();
    const { historyPool } = pair.to.context;
    const take = (): number => {
      const offset = historyPool.take(4_096);
      historyPool.release(offset);
      return offset;
    };
    const before = take();
    const sent = pair.send(TEN);
    pair.arrive(sent.slice(0, 10));
    expect(take()).toBe(before);
    pair.arrive(sent.slice(10));
    expect(take()).toBeGreaterThan(before);
    closeFec(pair.receiving);
    expect(take()).toBe(before);
  });

  it('that is not there means no parity', () => {
    pair = new ParityPair();
    while (pair.to.context.historyPool.take(65_536) !== -1);
    const sent = pair.send(TEN);
    pair.arrive(sent);
    expect(pair.arrive(without(pair.send(TEN), 1)).length).toBe(9);
  });

  it('is used for what came while there was parity lately', () => {
    pair.to.addon.nowMs += 11_000;
    const sent = pair.send(TEN);
    pair.arrive(sent.slice(0, 9));
    expect(pair.arrive(sent.slice(10))).toEqual([]);
    expect(pair.arrive(without(pair.send(TEN), 1)).length).toBe(10);
  });
});
