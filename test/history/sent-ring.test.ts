/** The ring of sealed datagrams against a memory that remembers who wrote each byte: what is found is what was put there. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SENT_DATAGRAMS_MAX, SentIndex, SentRing } from '../../src/history/sent-ring.ts';
import { RING_BYTES_MIN } from '../../src/history/settings.ts';
import { Arena } from '../../src/packet/arena.ts';

const OFFSET = 4_096;
const INDEX = 77;
/** What a lane's batch may place in all. */
const ROOM = new Arena(0).udpOutLength;

/** A run: lengths of its datagrams. */
type Run = readonly number[];

const run = fc
  .tuple(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 32, max: 1_500 }))
  .map(([count, length]) =>
    Array.from({ length: count }, (_, at) => (at === count - 1 ? Math.ceil(length / 2) : length)),
  );

/** Fills a ring as batches do; `check` is called after each with the number of datagrams so far. */
class Filling {
  readonly ring: SentRing;
  /** Counter of the datagram that each byte belongs to. */
  readonly memory: Int32Array;
  readonly offsets: number[] = [];
  readonly lengths: number[] = [];
  #batch = 0;

  constructor(bytes: number) {
    this.ring = new SentRing(OFFSET, bytes);
    this.memory = new Int32Array(OFFSET + bytes + 4_096).fill(-1);
  }

  /** Places runs as one batch and says whether all of it is there when it is complete. */
  batch(runs: readonly Run[]): boolean {
    const first = this.offsets.length;
    let room = ROOM;
    this.#batch += 1;
    for (const lengths of runs) {
      const bound = lengths.reduce((sum, length) => sum + length + 20, 0);
      if (bound > room) break;
      let at = this.ring.reserve(bound, room, this.#batch);
      const start = at;
      for (const length of lengths) {
        this.memory.fill(this.offsets.length, at, at + length);
        this.offsets.push(at);
        this.lengths.push(length);
        at += length;
      }
      this.ring.commit(at);
      room -= at - start;
    }
    for (let counter = first; counter < this.offsets.length; counter += 1)
      this.ring
        .indexToAdd(INDEX)
        .add(counter, this.ring.positionOf(this.offsets[counter]), this.lengths[counter], this.lengths[counter], 0, -1);
    return this.offsets.slice(first).every((_, at) => this.isWhole(first + at));
  }

  isWhole(counter: number): boolean {
    const at = this.offsets[counter];
    return this.memory.subarray(at, at + this.lengths[counter]).every((owner) => owner === counter);
  }

  /** Offset at which the ring finds a counter, -1 if it does not. */
  find(counter: number): number {
    const index = this.ring.indexOf(INDEX);
    const slot = index?.slotOf(counter) ?? -1;
    return index === null || slot === -1 ? -1 : this.ring.offsetOf(index.positions[slot]);
  }
}

describe('a ring of sealed datagrams', () => {
  it('finds what it holds where it is, and nothing that was overwritten, whatever is wanted when', () => {
    let found = 0;
    let gone = 0;
    const batches = fc.array(fc.tuple(fc.array(run, { minLength: 1, maxLength: 5 }), fc.boolean()), {
      minLength: 30,
      maxLength: 60,
      size: 'max',
    });
    fc.assert(
      fc.property(batches, fc.constantFrom(RING_BYTES_MIN, 3_333_333), (fillings, bytes) => {
        const filling = new Filling(bytes);
        for (const [runs, isWanted] of fillings) {
          expect(filling.batch(runs)).toBe(true);
          if (isWanted) filling.ring.want();
        }
        for (let counter = 0; counter < filling.offsets.length; counter += 1) {
          const at = filling.find(counter);
          if (at === -1) gone += 1;
          else {
            found += 1;
            expect(at).toBe(filling.offsets[counter]);
            expect(filling.isWhole(counter)).toBe(true);
          }
        }
      }),
      { numRuns: 10 },
    );
    expect(found).toBeGreaterThan(2_000);
    expect(gone).toBeGreaterThan(2_000);
  });

  it('never lets a batch overwrite itself, not even the largest from the worst start', () => {
    for (let head = 0; head < RING_BYTES_MIN; head += 110_021) {
      const filling = new Filling(RING_BYTES_MIN);
      if (head % 2 === 0) filling.ring.want();
      for (let placed = 0; placed < head; placed += 20_000) filling.batch([Array(20).fill(1_000)]);
      const largest = Array.from({ length: Math.floor(ROOM / 102_000) }, (): Run => Array(100).fill(1_000));
      expect(filling.batch(largest)).toBe(true);
    }
  });

  it('holds all of its size once something was wanted, and half a megabyte before', () => {
    for (const [isWanted, bytes] of [
      [true, 3_900_000],
      [false, 400_000],
    ] as const) {
      const filling = new Filling(4_194_304);
      if (isWanted) filling.ring.want();
      for (let batch = 0; batch < 60; batch += 1) filling.batch([Array(100).fill(1_400)]);
      const last = filling.offsets.length - 1;
      expect(filling.find(last - Math.floor(bytes / 1_400))).not.toBe(-1);
      const used = filling.memory.findLastIndex((owner) => owner !== -1) - OFFSET;
      expect(used > 4_000_000).toBe(isWanted);
      expect(used > 1_000_000).toBe(isWanted);
    }
  });

  it('knows the newest counters of two keypairs', () => {
    const ring = new SentRing(OFFSET, RING_BYTES_MIN);
    for (const index of [1, 2, 3]) {
      for (let counter = 0; counter <= SENT_DATAGRAMS_MAX; counter += 1) {
        ring.commit(ring.reserve(32, ROOM, counter) + 32);
        ring.indexToAdd(index).add(counter, ring.positionOf(OFFSET), 32, 32, 0, -1);
      }
    }
    expect([1, 2, 3, 0].map((index) => ring.indexOf(index)?.newest)).toEqual([
      undefined,
      SENT_DATAGRAMS_MAX,
      SENT_DATAGRAMS_MAX,
      undefined,
    ]);
    expect(ring.indexOf(3)?.slotOf(0)).toBe(-1);
    expect(ring.indexOf(3)?.slotOf(1)).toBe(1);
  });

  it('finds each datagram of a group, the shorter last one too, and none between two groups', () => {
    const index = new SentIndex();
    index.begin(7);
    index.add(10, 1_000, 250, 100, 5, 1);
    index.add(20, 2_000, 80, 80, 6, 2);
    const found = [9, 10, 11, 12, 13, 19, 20, 21].map((counter) => {
      const slot = index.slotOf(counter);
      return slot === -1 ? null : [index.positions[slot], index.lengths[slot], index.sentMs[slot], index.paths[slot]];
    });
    expect(found).toEqual([
      null,
      [1_000, 100, 5, 1],
      [1_100, 100, 5, 1],
      [1_200, 50, 5, 1],
      null,
      null,
      [2_000, 80, 6, 2],
      null,
    ]);
  });

  it('refuses a run that is longer than itself', () => {
    expect(() => new SentRing(OFFSET, RING_BYTES_MIN).reserve(RING_BYTES_MIN + 1, ROOM, 0)).toThrow(RangeError);
  });
});
