/** BLAKE2s against its authors' known answers, keyed and unkeyed. */
import { blake2s } from '@noble/hashes/blake2.js';
import { describe, expect, it } from 'vitest';
import { hash } from '../../src/protocol/hash.ts';
import { fromHex, loadVectors, toHex, vectorsArePresent, vectorTitle } from './load.ts';

interface KnownAnswer {
  readonly in: string;
  readonly key: string;
  readonly out: string;
}

describe.skipIf(!vectorsArePresent)(vectorTitle('BLAKE2s against its known answers'), () => {
  const answers = loadVectors<KnownAnswer[]>('blake2s-kat.json', []);
  const keyed = answers.filter(({ key }) => key !== '');
  const unkeyed = answers.filter(({ key }) => key === '');

  it('reads 256 answers with a key and 256 without', () => {
    expect([keyed.length, unkeyed.length]).toEqual([256, 256]);
  });

  it('gives each answer without a key, whole and in parts', () => {
    for (const answer of unkeyed) {
      const input = fromHex(answer.in);
      const middle = input.length >> 1;
      expect(toHex(hash(input))).toBe(answer.out);
      expect(toHex(hash(input.subarray(0, middle), input.subarray(middle)))).toBe(answer.out);
    }
  });

  it('gives each answer with a key', () => {
    for (const answer of keyed) {
      expect(toHex(blake2s(fromHex(answer.in), { key: fromHex(answer.key) }))).toBe(answer.out);
    }
  });
});
