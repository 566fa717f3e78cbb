/** Memory of keypairs: when may it be another keypair's? Not while a lane may still count with it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeypairMemory } from '../../src/tables/keypair-memory.ts';
import { KeypairPool } from '../../src/tables/keypair-pool.ts';
import type { SlabSlot } from '../../src/tables/slab.ts';

const name = ({ memory, offset }: SlabSlot, memories: SharedArrayBuffer[]): string => {
  if (!memories.includes(memory)) memories.push(memory);
  return `${memories.indexOf(memory)}:${offset}`;
};

describe('the memory of a keypair', () => {
  it('is used again when every lane has answered an install from after its end', () => {
    const pool = new KeypairPool(2);
    const first = pool.take(0);
    pool.retire(0, 5);
    pool.answered(0, 6);
    expect(pool.take(1)).not.toEqual(first);
    pool.answered(1, 5);
    expect(pool.take(2)).not.toEqual(first);
    pool.answered(1, 6);
    expect(pool.take(3)).toEqual(first);
  });

  it('starts again at counter 0, with an empty window and an open lock', () => {
    const pool = new KeypairPool(1);
    const first = pool.take(0);
    const used = new KeypairMemory(first.memory, first.offset);
    used.reserve(1_000);
    used.window.fill(-1);
    used.lock();
    pool.retire(0, 0);
    pool.answered(0, 1);
    const again = pool.take(1);
    expect(again).toEqual(first);
    const fresh = new KeypairMemory(again.memory, again.offset);
    expect(fresh.reserve(1)).toBe(0);
    expect(fresh.window.every((word) => word === 0)).toBe(true);
  });

  it('of two keypairs is never the same', () => {
    const pool = new KeypairPool(1);
    const memories: SharedArrayBuffer[] = [];
    const names = Array.from({ length: 500 }, (_, keypair) => name(pool.take(keypair), memories));
    expect(new Set(names).size).toBe(500);
  });

  it('of a keypair that is unknown, or has ended already, is not given back twice', () => {
    const pool = new KeypairPool(1);
    pool.retire(9, 0);
    const first = pool.take(0);
    pool.retire(0, 0);
    pool.retire(0, 0);
    pool.answered(0, 1);
    expect([pool.take(1), pool.take(2)].filter((slot) => slot.offset === first.offset)).toHaveLength(1);
  });

  it('never belongs to a new keypair while a lane lags behind, whatever the order of events', () => {
    const step = fc.oneof(
      fc.constant({ kind: 'install' as const }),
      fc.record({ kind: fc.constant('retire' as const), pick: fc.nat(20) }),
      fc.record({ kind: fc.constant('answer' as const), lane: fc.nat(2) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const world = new PlayedLanes(3);
        for (const next of steps) world.play(next);
      }),
    );
  });
});

type Step =
  | { readonly kind: 'install' }
  | { readonly kind: 'retire'; readonly pick: number }
  | { readonly kind: 'answer'; readonly lane: number };

/** Lanes that take commands late, each at its own pace, and a check that none ever holds memory of somebody else's keypair. */
class PlayedLanes {
  readonly #pool: KeypairPool;
  readonly #memories: SharedArrayBuffer[] = [];
  readonly #alive: { keypair: number; slot: string }[] = [];
  readonly #queues: { token: number; add?: string; remove?: string }[][];
  /** Memory that each lane would count with. */
  readonly #held: Set<string>[];
  #token = 0;
  #keypair = 0;

  constructor(lanes: number) {
    this.#pool = new KeypairPool(lanes);
    this.#queues = Array.from({ length: lanes }, () => []);
    this.#held = Array.from({ length: lanes }, () => new Set());
  }

  play(step: Step): void {
    if (step.kind === 'install') this.#install();
    else if (step.kind === 'retire') this.#retire(step.pick);
    else this.#answer(step.lane);
  }

  #install(): void {
    this.#keypair += 1;
    this.#token += 1;
    const slot = name(this.#pool.take(this.#keypair), this.#memories);
    for (const held of this.#held) expect(held.has(slot)).toBe(false);
    for (const queue of this.#queues) expect(queue.some(({ remove }) => remove === slot)).toBe(false);
    this.#alive.push({ keypair: this.#keypair, slot });
    for (const queue of this.#queues) queue.push({ token: this.#token, add: slot });
  }

  #retire(pick: number): void {
    const [ended] = this.#alive.splice(pick % Math.max(1, this.#alive.length), 1);
    if (ended === undefined) return;
    for (const queue of this.#queues) queue.push({ token: 0, remove: ended.slot });
    this.#pool.retire(ended.keypair, this.#token);
  }

  #answer(lane: number): void {
    const command = this.#queues[lane].shift();
    if (command?.add !== undefined) {
      this.#held[lane].add(command.add);
      this.#pool.answered(lane, command.token);
    }
    if (command?.remove !== undefined) this.#held[lane].delete(command.remove);
  }
}
