import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareTimestamps, encodeTimestamp, nextTimestamp } from '../../src/protocol/timestamp.ts';
import { toHex } from '../vectors/load.ts';

const moment = fc.double({ min: 0, max: 5e12, noNaN: true });

describe('A timestamp', () => {
  it('is TAI64N: 2^62 + 10 at the epoch, then seconds and nanoseconds, big-endian', () => {
    expect(toHex(encodeTimestamp(0))).toBe('400000000000000a00000000');
    expect(toHex(encodeTimestamp(1_700_000_000_000))).toBe('400000006553f10a00000000');
    expect(toHex(encodeTimestamp((2 ** 32 - 10) * 1000))).toBe('400000010000000000000000');
  });

  it('has the lower 24 bits of its nanoseconds cleared', () => {
    expect(toHex(encodeTimestamp(999.999))).toBe('400000000000000a3b000000');
    expect(toHex(encodeTimestamp(16.777215))).toBe('400000000000000a00000000');
    expect(toHex(encodeTimestamp(16.777217))).toBe('400000000000000a01000000');
  });

  it('never says that a later time came before an earlier one', () => {
    fc.assert(
      fc.property(moment, moment, (a, b) => {
        const order = compareTimestamps(encodeTimestamp(Math.min(a, b)), encodeTimestamp(Math.max(a, b)));
        expect(order).toBeLessThanOrEqual(0);
      }),
    );
  });

  it('tells two times apart that are 17 ms apart', () => {
    fc.assert(
      fc.property(moment, (time) => {
        expect(compareTimestamps(encodeTimestamp(time + 17), encodeTimestamp(time))).toBeGreaterThan(0);
      }),
    );
  });

  it('grows with each message, even when the clock stands still or goes back', () => {
    fc.assert(
      fc.property(fc.array(moment, { minLength: 2, maxLength: 100 }), (times) => {
        let last: Uint8Array | null = null;
        for (const time of times) {
          const next = nextTimestamp(time, last);
          if (last !== null) expect(compareTimestamps(next, last)).toBeGreaterThan(0);
          expect(compareTimestamps(next, encodeTimestamp(time))).toBeGreaterThanOrEqual(0);
          expect(new DataView(next.buffer).getUint32(8)).toBeLessThan(1e9);
          last = next;
        }
      }),
    );
  });
});
