/** The prober against simulated paths in fake time: losses alone demote nothing, and whatever shape fails is found. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  fullRound,
  GROUP_BYTES_MAX,
  type GroupShapes,
  type ProbeGroup,
  plaintextLengths,
  sizesOf,
} from '../../src/offloads/group-shapes.ts';
import { type ProbeStep, ShapeProber } from '../../src/offloads/shape-prober.ts';
import { PROBE_DATAGRAMS_MAX } from '../../src/protocol/control-message.ts';

const RTT_MS = 30;
const STEP_MS = 50;

/** What a path makes of a group: which of its datagrams arrive. */
type Middle = (group: ProbeGroup) => boolean[];

const carriesAll: Middle = ({ datagrams }) => new Array<boolean>(datagrams).fill(true);
const dropsAbove =
  (most: number): Middle =>
  ({ datagrams }) =>
    new Array<boolean>(datagrams).fill(datagrams <= most);
const dropsTails: Middle = ({ datagrams, shortTail }) =>
  Array.from({ length: datagrams }, (_, index) => datagrams === 1 || !shortTail || index < datagrams - 1);
const dropsGroupsWithTails: Middle = ({ datagrams, shortTail }) =>
  new Array<boolean>(datagrams).fill(datagrams === 1 || !shortTail);
const passesFirstOnly: Middle = ({ datagrams }) => Array.from({ length: datagrams }, (_, index) => index === 0);

/** A pseudo-random number from 0 to 1 (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A prober and a path that loses each datagram, question and answer with the same probability. */
class Path {
  readonly prober: ShapeProber;
  middle: Middle;
  nowMs = 0;
  readonly verdicts: GroupShapes[] = [];
  readonly rounds: (readonly ProbeGroup[])[] = [];
  /** Answers that arrived. */
  answered = 0;
  readonly #loss: number;
  readonly #random: () => number;
  #bits = new Uint8Array(0);
  #answers: { dueMs: number; round: number; bits: Uint8Array }[] = [];

  constructor(middle: Middle, loss = 0, seed = 1, datagramsMax = 128) {
    this.prober = new ShapeProber(datagramsMax, seed);
    this.middle = middle;
    this.#loss = loss;
    this.#random = randomOf(seed);
  }

  /** Lets time pass until the next verdict, or for so long. */
  run(durationMs: number, mayBegin = true): GroupShapes {
    const before = this.verdicts.length;
    for (const endMs = this.nowMs + durationMs; this.nowMs < endMs && this.verdicts.length === before; ) {
      for (
        let step = this.prober.step(this.nowMs, mayBegin);
        step !== null;
        step = this.prober.step(this.nowMs, mayBegin)
      ) {
        this.#take(step);
        if (step.kind === 'verdict') break;
      }
      this.nowMs += STEP_MS;
      for (const { dueMs, round, bits } of this.#answers.splice(0))
        if (dueMs <= this.nowMs) {
          this.answered += 1;
          this.prober.arrived(round, bits);
        } else this.#answers.push({ dueMs, round, bits });
    }
    return this.prober.shapes;
  }

  #take(step: ProbeStep): void {
    if (step.kind === 'verdict') this.verdicts.push(step.after);
    else if (step.kind === 'round') this.#send(step.round, step.groups);
    else if (!this.#isLost()) this.#answer(step.round);
  }

  #send(round: number, groups: readonly ProbeGroup[]): void {
    this.rounds.push(groups);
    const arrived = groups.flatMap(this.middle).map((passes) => passes && !this.#isLost());
    this.#bits = new Uint8Array(Math.ceil(arrived.length / 8));
    for (const [number, passes] of arrived.entries()) if (passes) this.#bits[number >> 3] |= 1 << (number & 7);
    if (arrived.every((passes) => passes)) this.#answer(round);
  }

  #answer(round: number): void {
    if (!this.#isLost()) this.#answers.push({ dueMs: this.nowMs + RTT_MS, round, bits: this.#bits });
  }

  #isLost(): boolean {
    return this.#random() < this.#loss;
  }
}

const WHOLE = { datagramsMax: 128, shortTail: true };

describe('a prober', () => {
  it('needs one group to find that all is well', () => {
    const path = new Path(carriesAll);
    path.prober.start(0);
    expect(path.run(5_000)).toEqual(WHOLE);
    expect(path.rounds).toEqual([[{ datagrams: 128, shortTail: true }]]);
    expect(path.verdicts).toEqual([WHOLE]);
  });

  it('never demotes for lost datagrams, up to three in ten', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.3, noNaN: true }), fc.integer(), (loss, seed) => {
        const path = new Path(carriesAll, loss, seed);
        path.prober.start(0);
        expect(path.run(30_000)).toEqual(WHOLE);
        expect(path.verdicts).toEqual([WHOLE]);
      }),
      { numRuns: 400 },
    );
  });

  it.each<[string, Middle, GroupShapes]>([
    ['all groups are dropped', dropsAbove(1), { datagramsMax: 1, shortTail: true }],
    ['only the first datagram of a group passes', passesFirstOnly, { datagramsMax: 1, shortTail: true }],
    ['groups above 3 are dropped', dropsAbove(3), { datagramsMax: 2, shortTail: true }],
    ['groups above 16 are dropped', dropsAbove(16), { datagramsMax: 16, shortTail: true }],
    ['groups above 64 are dropped', dropsAbove(64), { datagramsMax: 64, shortTail: true }],
    ['short tails are dropped', dropsTails, { datagramsMax: 128, shortTail: false }],
    ['groups with a short tail are dropped', dropsGroupsWithTails, { datagramsMax: 128, shortTail: false }],
  ])('finds that %s, whatever else gets lost', (_, middle, shapes) => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.25, noNaN: true }), fc.integer(), (loss, seed) => {
        const path = new Path(middle, loss, seed);
        path.prober.start(0);
        path.run(30_000);
        for (let tries = 0; path.answered === 0 && tries < 10; tries += 1) {
          path.nowMs += 10 * 60_000;
          path.prober.suspect(path.nowMs);
          path.run(30_000);
        }
        expect(path.prober.shapes).toEqual(shapes);
      }),
      { numRuns: 60 },
    );
  });

  it('finds it within three seconds where nothing else gets lost', () => {
    for (const middle of [dropsAbove(1), dropsAbove(16), dropsTails, dropsGroupsWithTails]) {
      const path = new Path(middle);
      path.prober.start(0);
      path.run(30_000);
      expect(path.prober.isDemoted).toBe(true);
      expect(path.nowMs).toBeLessThan(3_000);
    }
  });

  it('demotes nothing when nobody answers, or when single datagrams do not arrive either', () => {
    const middles: Middle[] = [({ datagrams }) => new Array<boolean>(datagrams).fill(false)];
    for (const middle of middles) {
      const path = new Path(middle);
      path.prober.start(0);
      expect(path.run(60_000)).toEqual(WHOLE);
    }
    const mute = new Path(dropsAbove(1), 1);
    mute.prober.start(0);
    expect(mute.run(60_000)).toEqual(WHOLE);
    expect(mute.verdicts.length).toBe(1);
  });

  it('sends no more than one full round where nothing is answered', () => {
    const path = new Path(carriesAll, 1);
    path.prober.start(0);
    path.run(60_000);
    expect(path.rounds.map(({ length }) => length > 1)).toEqual([false, true]);
    path.run(60 * 60_000);
    expect(path.rounds.length).toBe(2);
  });

  it('promotes again once the middle is mended: after half a minute, or ever later', () => {
    const path = new Path(dropsAbove(16));
    path.prober.start(0);
    path.run(5_000);
    const waits = [1, 2, 3].map(() => {
      const sinceMs = path.nowMs;
      path.run(10 * 60_000);
      return path.nowMs - sinceMs;
    });
    expect(waits.map((ms) => Math.round(ms / 10_000) * 10)).toEqual([30, 60, 120]);
    path.middle = carriesAll;
    path.run(10 * 60_000);
    expect(path.prober.isDemoted).toBe(false);
    expect(path.prober.retryMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('waits half an hour at most', () => {
    const path = new Path(dropsAbove(1));
    path.prober.start(0);
    for (let session = 0; session < 14; session += 1) path.run(60 * 60_000);
    const sinceMs = path.nowMs;
    path.run(60 * 60_000);
    expect(path.nowMs - sinceMs).toBeLessThan(31 * 60_000);
  });

  it('looks again at once where the peer has moved', () => {
    const path = new Path(dropsAbove(1));
    path.prober.start(0);
    path.run(5_000);
    path.middle = carriesAll;
    path.prober.start(path.nowMs);
    path.run(1_000);
    expect(path.prober.isDemoted).toBe(false);
  });

  it('looks at losses once in a while, not each time', () => {
    const path = new Path(carriesAll);
    path.prober.start(0);
    path.run(1_000);
    for (let second = 0; second < 300; second += 1) {
      path.prober.suspect(path.nowMs);
      path.run(1_000);
    }
    expect(path.rounds.length).toBeGreaterThan(2);
    expect(path.rounds.length).toBeLessThan(8);
  });

  it('finds a middle that broke meanwhile, when it is told of losses', () => {
    const path = new Path(carriesAll);
    path.prober.start(0);
    path.run(1_000);
    path.middle = dropsTails;
    path.nowMs += 60_000;
    path.prober.suspect(path.nowMs);
    expect(path.run(5_000)).toEqual({ datagramsMax: 128, shortTail: false });
  });

  it('begins nothing while it may not, and goes on with what it began', () => {
    const path = new Path(carriesAll);
    path.prober.start(0);
    path.run(5_000, false);
    expect(path.rounds).toEqual([]);
    path.prober.step(path.nowMs, true);
    expect(path.prober.isProbing).toBe(true);
  });

  it('takes no answer for another round, and none that is too short for what it does not say', () => {
    const prober = new ShapeProber(64, 7);
    prober.start(0);
    expect(prober.step(0, true)).toMatchObject({ kind: 'round', round: 8 });
    prober.arrived(9, new Uint8Array(64).fill(255));
    expect(prober.step(0, true)).toBeNull();
    prober.arrived(8, new Uint8Array(0));
    expect(prober.step(0, true)).toMatchObject({ kind: 'round', round: 9 });
  });
});

describe('the rounds', () => {
  it('fit into one answer and into datagrams, for whatever a kernel takes', () => {
    for (const datagramsMax of [2, 3, 16, 64, 100, 128]) {
      const round = fullRound(datagramsMax);
      expect(round.reduce((sum, { datagrams }) => sum + datagrams, 0)).toBeLessThanOrEqual(PROBE_DATAGRAMS_MAX);
      expect(Math.max(...round.map(({ datagrams }) => datagrams))).toBeLessThanOrEqual(datagramsMax);
      expect(sizesOf(datagramsMax).at(-1)).toBeLessThanOrEqual(datagramsMax);
    }
  });

  it('have datagrams as long as data has them, but for the tail, and groups that UDP can carry', () => {
    for (const mtu of [576, 1_280, 1_420, 8_920])
      for (const group of fullRound(128)) {
        const lengths = plaintextLengths(group, mtu);
        const full = lengths[0];
        expect(lengths.reduce((sum, length) => sum + length + 32, 0)).toBeLessThanOrEqual(GROUP_BYTES_MAX);
        expect(lengths.slice(0, -1).every((length) => length === full)).toBe(true);
        if (group.datagrams > 1) expect(lengths.at(-1) === full).toBe(!group.shortTail);
        if (group.datagrams * (mtu + 32) <= GROUP_BYTES_MAX && !group.shortTail) expect(full).toBe(mtu);
      }
  });
});
