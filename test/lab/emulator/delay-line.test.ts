import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DelayLine } from '../../../src/lab/emulator/delay-line.ts';

const INPUT_BYTES = 256;
const RING_BYTES = 1_024;

interface Held {
  readonly bytes: readonly number[];
  readonly arrivalUs: number;
  readonly direction: number;
}

describe('datagrams on their way', () => {
  it('arrive in the order of their times, whole, whatever was taken and added between', () => {
    const step = fc.record({
      length: fc.integer({ min: 1, max: 200 }),
      delayUs: fc.integer({ min: 0, max: 50 }),
      takes: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => followsItsTwin(steps)));
  });

  it('do not get in when the ring is full, and do again when there is room', () => {
    const line = new DelayLine(new Uint8Array(INPUT_BYTES + RING_BYTES), INPUT_BYTES, RING_BYTES);
    let added = 0;
    while (line.add(0, 100, 0, added)) added += 1;
    expect(added).toBe(10);
    expect(line.take(0)).toBe(0);
    line.release();
    expect(line.add(0, 90, 0, 99)).toBe(true);
  });
});

/** A list that is sorted each time does the same. */
function followsItsTwin(steps: readonly { length: number; delayUs: number; takes: number }[]): boolean {
  const bytes = new Uint8Array(INPUT_BYTES + RING_BYTES);
  const line = new DelayLine(bytes, INPUT_BYTES, RING_BYTES);
  let twin: Held[] = [];
  steps.forEach(({ length, delayUs, takes }, nowUs) => {
    const content = Array.from({ length }, (_, at) => (nowUs * 31 + at) & 0xff);
    bytes.set(content, 0);
    const direction = nowUs & 1;
    const arrivalUs = nowUs + delayUs;
    if (line.add(0, length, direction, arrivalUs)) twin.push({ bytes: content, arrivalUs, direction });
    for (let take = 0; take < takes; take += 1) {
      const next = twin.toSorted((left, right) => left.arrivalUs - right.arrivalUs)[0];
      const slot = line.take(nowUs);
      if (next === undefined || next.arrivalUs > nowUs) {
        expect(slot).toBe(-1);
        continue;
      }
      const offset = line.offsetOf(slot);
      expect([...bytes.subarray(offset, offset + line.lengthOf(slot))]).toEqual(next.bytes);
      expect(line.directionOf(slot)).toBe(next.direction);
      twin = twin.filter((held) => held !== next);
    }
    line.release();
  });
  return true;
}
