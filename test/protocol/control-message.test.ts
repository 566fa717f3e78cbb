import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  CONTROL_LENGTH_MAX,
  type ControlMessage,
  controlMessageLength,
  decodeControlMessage,
  encodeControlMessage,
  PROBE_DATAGRAMS_MAX,
} from '../../src/protocol/control-message.ts';

const word = fc.integer({ min: 0, max: 0xffff_ffff });
const probe = fc
  .tuple(word, fc.integer({ min: 1, max: PROBE_DATAGRAMS_MAX }), fc.nat())
  .map(([round, total, number]): ControlMessage => ({ kind: 'probe', round, number: number % total, total }));
const counters = fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()).map((pair) => pair.toSorted((left, right) => right - left));
const message: fc.Arbitrary<ControlMessage> = fc.oneof(
  fc.record({ kind: fc.constant('announce' as const), capabilities: word, heard: fc.boolean() }),
  probe,
  fc.record({ kind: fc.constant('ask' as const), round: word }),
  fc.record({
    kind: fc.constant('arrived' as const),
    round: word,
    bits: fc.uint8Array({ minLength: 1, maxLength: 64 }),
  }),
  fc
    .tuple(word, counters)
    .map(([index, [newest, count]]): ControlMessage => ({ kind: 'received', index, newest, count })),
  fc.record({
    ...{ kind: fc.constant('pathProbe' as const), path: fc.nat(255), carriesData: fc.boolean() },
    ...{ sequence: word, sentUs: fc.maxSafeNat() },
  }),
  fc.record({
    ...{ kind: fc.constant('pathAnswer' as const), path: fc.nat(255), sequence: word, sentUs: fc.maxSafeNat() },
    ...{ heldUs: word, datagrams: fc.maxSafeNat(), bytes: fc.maxSafeNat(), arrivedUs: fc.option(word) },
  }),
);

const figures = { path: 1, sequence: 2, sentUs: 3, heldUs: 4, datagrams: 5, bytes: 6, arrivedUs: 7 };
const answer = { kind: 'pathAnswer' as const, ...figures };

describe('A control message', () => {
  it('reads as it was written, padded or not, and is no IP packet', () => {
    fc.assert(
      fc.property(message, fc.nat(1_500), (written, length) => {
        const bytes = encodeControlMessage(written, length);
        expect(bytes.length).toBeGreaterThanOrEqual(length);
        expect(bytes[0] >> 4).toBe(0);
        expect(decodeControlMessage(bytes)).toEqual(written);
        const own = controlMessageLength(new DataView(bytes.buffer), 0, bytes.length);
        expect(decodeControlMessage(bytes.slice(0, own))).toEqual(written);
      }),
    );
  });

  it('may have a longer body than this version knows', () => {
    const bytes = encodeControlMessage({ kind: 'ask', round: 7 }, 64);
    bytes[3] += 9;
    expect(decodeControlMessage(bytes)).toEqual({ kind: 'ask', round: 7 });
  });

  it('of another version or kind, or cut anywhere, is skipped', () => {
    fc.assert(
      fc.property(
        message,
        fc.integer({ min: 8, max: 255 }),
        fc.integer({ min: 2, max: 255 }),
        (written, kind, version) => {
          const bytes = encodeControlMessage(written);
          expect(decodeControlMessage(Uint8Array.of(version, ...bytes.slice(1)))).toBeNull();
          expect(decodeControlMessage(Uint8Array.of(1, kind, ...bytes.slice(2)))).toBeNull();
          for (let length = 0; length < bytes.length; length += 1)
            expect(decodeControlMessage(bytes.slice(0, length))).toBeNull();
        },
      ),
      { numRuns: 50 },
    );
  });

  it('with figures that cannot be is refused', () => {
    const wrong = [
      encodeControlMessage({ kind: 'probe', round: 1, number: 5, total: 5 }),
      encodeControlMessage({ kind: 'probe', round: 1, number: 0, total: PROBE_DATAGRAMS_MAX + 1 }),
      encodeControlMessage({ kind: 'arrived', round: 1, bits: new Uint8Array(65) }),
      encodeControlMessage({ kind: 'received', index: 1, newest: 4, count: 5 }),
      encodeControlMessage({ kind: 'received', index: 1, newest: 2 ** 54, count: 5 }),
      encodeControlMessage({ kind: 'received', index: 1, newest: 2 ** 54, count: 2 ** 54 }),
      encodeControlMessage({ kind: 'pathProbe', path: 1, carriesData: true, sequence: 2, sentUs: 2 ** 53 }),
      encodeControlMessage({ ...answer, sentUs: 2 ** 53 }),
      encodeControlMessage({ ...answer, datagrams: 2 ** 53 }),
      encodeControlMessage({ ...answer, bytes: 2 ** 53 }),
    ];
    expect(wrong.map(decodeControlMessage)).toEqual(wrong.map(() => null));
  });

  it('never breaks what reads it, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        expect(controlMessageLength(view, 0, bytes.length)).toBeLessThanOrEqual(
          Math.min(bytes.length, CONTROL_LENGTH_MAX),
        );
        decodeControlMessage(bytes);
      }),
      { numRuns: 2_000 },
    );
  });
});
