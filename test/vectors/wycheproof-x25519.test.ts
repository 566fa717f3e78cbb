/** X25519 as the handshake uses it, against Wycheproof. */
import { describe, expect, it } from 'vitest';
import { importKeyPair, sharedSecret } from '../../src/protocol/x25519.ts';
import { fromHex, loadVectors, toHex, vectorsArePresent, vectorTitle } from './load.ts';
import { ABSENT, casesOf, type WycheproofFile, type XdhCase } from './wycheproof.ts';

describe.skipIf(!vectorsArePresent)(vectorTitle('X25519 against Wycheproof'), () => {
  const file = loadVectors<WycheproofFile<XdhCase>>('wycheproof-x25519.json', ABSENT);
  const cases = casesOf(file);
  const isZero = (test: XdhCase): boolean => /^0*$/.test(test.shared);

  it('reads all 518 cases', () => {
    expect([file.numberOfTests, cases.length]).toEqual([518, 518]);
  });

  it('computes every shared secret that is not zero', () => {
    for (const test of cases.filter((one) => !isZero(one))) {
      const secret = sharedSecret(importKeyPair(fromHex(test.private)).privateKey, fromHex(test.public));
      expect(secret && toHex(secret), `case ${test.tcId} ${test.comment}`).toBe(test.shared);
    }
  });

  it('refuses every public key that makes the shared secret zero', () => {
    const zero = cases.filter(isZero);
    expect(zero.length).toBeGreaterThan(20);
    for (const test of zero) {
      const secret = sharedSecret(importKeyPair(fromHex(test.private)).privateKey, fromHex(test.public));
      expect(secret, `case ${test.tcId} ${test.comment}`).toBeNull();
    }
  });
});
