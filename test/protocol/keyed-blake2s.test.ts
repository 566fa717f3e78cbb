/** Keyed BLAKE2s in script against its slow twin, @noble/hashes, which passes RFC 7693's own self-test. */
import { blake2s } from '@noble/hashes/blake2.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyedBlake2s } from '../../src/protocol/keyed-blake2s.ts';

function keyedBy(key: Uint8Array): KeyedBlake2s {
  const keyed = new KeyedBlake2s();
  keyed.setKey(key);
  return keyed;
}

/** The bytes somewhere in a larger view, with what must not count before and behind them. */
function embed(bytes: Uint8Array, offset: number, behind = 16): DataView {
  const whole = new Uint8Array(offset + bytes.length + behind).fill(0xa5);
  whole.set(bytes, offset);
  return new DataView(whole.buffer);
}

const keys = fc.uint8Array({ minLength: 1, maxLength: 32 });

describe('Keyed BLAKE2s', () => {
  it('gives what the library gives, for each length of key and input, wherever the input lies', () => {
    fc.assert(
      fc.property(keys, fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(9), (key, input, offset) => {
        const keyed = keyedBy(key);
        keyed.compute(embed(input, offset), offset, input.length);
        expect(keyed.mac).toEqual(blake2s(input, { key, dkLen: 16 }));
      }),
      { numRuns: 2_000 },
    );
  });

  it('gives it for lengths around whole blocks', () => {
    const keyed = keyedBy(Uint8Array.of(7));
    for (const length of [1, 63, 64, 65, 127, 128, 129, 192]) {
      const input = Uint8Array.from({ length }, (_, at) => at * 31);
      keyed.compute(embed(input, 1), 1, length);
      expect(keyed.mac, String(length)).toEqual(blake2s(input, { key: Uint8Array.of(7), dkLen: 16 }));
    }
  });

  it('takes another key at any time, and forgets the one that it had', () => {
    const input = embed(Uint8Array.of(1, 2, 3), 0, 0);
    const keyed = keyedBy(new Uint8Array(32).fill(1));
    keyed.setKey(Uint8Array.of(9));
    keyed.compute(input, 0, 3);
    expect(keyed.mac).toEqual(blake2s(Uint8Array.of(1, 2, 3), { key: Uint8Array.of(9), dkLen: 16 }));
    keyed.clear();
    expect(keyed.mac).toEqual(new Uint8Array(16));
  });

  it('refuses a key that is empty or longer than 32 bytes', () => {
    for (const length of [0, 33]) expect(() => keyedBy(new Uint8Array(length))).toThrow(RangeError);
  });
});
