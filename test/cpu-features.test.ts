/** Which processors are taken to be fast at AES-256-GCM. */
import { describe, expect, it } from 'vitest';
import { hasFastAes, readsFastAes } from '../src/cpu-features.ts';

const x86 = (flags: string): string =>
  `processor\t: 0\nmodel name\t: an aes machine\nflags\t\t: fpu ${flags} sse2\nbugs\t\t:\n\n`;

describe('AES-256-GCM is fast', () => {
  it.each<[string, string, boolean]>([
    ['on x86-64 with AES-NI and PCLMULQDQ', x86('aes pclmulqdq'), true],
    ['on x86-64 with the vector forms', x86('vaes vpclmulqdq'), true],
    ['on arm64 with AES and PMULL', 'processor\t: 0\nFeatures\t: fp asimd aes pmull sha1\n', true],
    ['not on x86-64 without PCLMULQDQ', x86('aes'), false],
    ['not on arm64 without the extension', 'processor\t: 0\nFeatures\t: fp asimd crc32\n', false],
    ['not where one of two processors lacks it', x86('aes pclmulqdq') + x86('mmx'), false],
    ['not where nothing is said', '', false],
  ])('%s', (_, text, expected) => expect(readsFastAes(text)).toBe(expected));

  it('or not on this machine, always with the same answer', () => {
    expect(hasFastAes()).toBe(hasFastAes());
  });
});
