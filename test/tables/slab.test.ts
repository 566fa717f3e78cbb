/** Slabs of shared memory. */
import { describe, expect, it } from 'vitest';
import { Slab, type SlabSlot } from '../../src/tables/slab.ts';

const SLOT_BYTES = 100;
const ROUNDED_BYTES = 128;
const PER_CHUNK = 4;

function bytesOf({ memory, offset }: SlabSlot): Uint8Array {
  return new Uint8Array(memory, offset, SLOT_BYTES);
}

describe('a slab', () => {
  it('gives slots that never overlap and start on cache lines of their own', () => {
    const slab = new Slab(SLOT_BYTES, PER_CHUNK);
    const slots = Array.from({ length: 11 }, () => slab.take());
    slots.forEach((slot, at) => {
      bytesOf(slot).fill(at + 1);
    });
    slots.forEach((slot, at) => {
      expect(bytesOf(slot).every((byte) => byte === at + 1)).toBe(true);
      expect(slot.offset % 64).toBe(0);
    });
  });

  it('grows by whole chunks, whose slots it gives out from the start on', () => {
    const slab = new Slab(SLOT_BYTES, PER_CHUNK);
    expect(slab.bytes).toBe(0);
    const slots = Array.from({ length: PER_CHUNK + 1 }, () => slab.take());
    expect(slots.map(({ offset }) => offset)).toEqual([0, 128, 256, 384, 0]);
    expect(new Set(slots.map(({ memory }) => memory)).size).toBe(2);
    expect(slab.bytes).toBe(2 * PER_CHUNK * ROUNDED_BYTES);
  });

  it('gives a released slot out again, zeroed, before it grows', () => {
    const slab = new Slab(SLOT_BYTES, PER_CHUNK);
    const slots = Array.from({ length: PER_CHUNK }, () => slab.take());
    bytesOf(slots[2]).fill(0xee);
    slab.release(slots[2]);
    const again = slab.take();
    expect(again).toEqual(slots[2]);
    expect(bytesOf(again)).toEqual(new Uint8Array(SLOT_BYTES));
    expect(slab.bytes).toBe(PER_CHUNK * ROUNDED_BYTES);
  });

  it('zeroes at release, and nothing beside the slot', () => {
    const slab = new Slab(SLOT_BYTES, PER_CHUNK);
    const [left, middle, right] = [slab.take(), slab.take(), slab.take()];
    for (const slot of [left, middle, right]) bytesOf(slot).fill(7);
    slab.release(middle);
    expect(bytesOf(middle).every((byte) => byte === 0)).toBe(true);
    expect([left, right].every((slot) => bytesOf(slot).every((byte) => byte === 7))).toBe(true);
  });
});
