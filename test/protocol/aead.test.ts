import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seal, unseal } from '../../src/protocol/aead.ts';
import { CIPHERS } from '../../src/protocol/cipher.ts';
import { fromHex, toHex } from '../vectors/load.ts';

const SUNSCREEN =
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";

describe('ChaCha20-Poly1305', () => {
  it('seals the example of RFC 8439, section 2.8.2', () => {
    const key = Uint8Array.from({ length: 32 }, (_, position) => 0x80 + position);
    const sealed = seal(
      'chacha20-poly1305',
      key,
      fromHex('070000004041424344454647'),
      fromHex('50515253c0c1c2c3c4c5c6c7'),
      Buffer.from(SUNSCREEN),
    );
    expect(toHex(sealed)).toBe(
      'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b' +
        '1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc' +
        '3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691',
    );
  });

  it('unseals the example of RFC 8439, appendix A.5', () => {
    const plaintext = unseal(
      'chacha20-poly1305',
      fromHex('1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0'),
      fromHex('000000000102030405060708'),
      fromHex('f33388860000000000004e91'),
      fromHex(
        '64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0' +
          'bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855' +
          '9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e9' +
          '9040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a' +
          '0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130' +
          '305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38',
      ),
    );
    expect(Buffer.from(plaintext ?? []).toString()).toBe(
      'Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or ' +
        'obsoleted by other documents at any time. It is inappropriate to use Internet-Drafts as reference material ' +
        'or to cite them other than as /“work in progress./”',
    );
  });
});

describe('AES-256-GCM', () => {
  // The GCM specification of McGrew and Viega, appendix B, test case 16.
  const [key, nonce, ad, plaintext, sealed] = [
    'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308',
    'cafebabefacedbaddecaf888',
    'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662' +
      '76fc6ece0f4e1768cddf8853bb2d551b',
  ].map(fromHex);

  it("seals and unseals the specification's test case 16", () => {
    expect(seal('aes-256-gcm', key, nonce, ad, plaintext)).toEqual(sealed);
    expect(unseal('aes-256-gcm', key, nonce, ad, sealed)).toEqual(plaintext);
  });

  it('unseals nothing that another cipher sealed', () => {
    expect(unseal('chacha20-poly1305', key, nonce, ad, sealed)).toBeNull();
  });
});

describe.each(CIPHERS)('%s', (cipher) => {
  it('refuses a message with any bit changed, or cut at any place', () => {
    const key = new Uint8Array(32).fill(7);
    const nonce = new Uint8Array(12);
    const ad = Uint8Array.of(1, 2, 3);
    const sealed = seal(cipher, key, nonce, ad, Buffer.from('a secret'));
    expect(Buffer.from(unseal(cipher, key, nonce, ad, sealed) ?? []).toString()).toBe('a secret');
    fc.assert(
      fc.property(fc.nat(sealed.length * 8 - 1), (bit) => {
        const changed = Uint8Array.from(sealed);
        changed[bit >> 3] ^= 1 << (bit & 7);
        expect(unseal(cipher, key, nonce, ad, changed)).toBeNull();
      }),
    );
    for (let length = 0; length < sealed.length; length++) {
      expect(unseal(cipher, key, nonce, ad, sealed.subarray(0, length))).toBeNull();
    }
  });

  it('refuses a nonce that is not 12 bytes long', () => {
    const key = new Uint8Array(32);
    for (const length of [0, 8, 11, 13, 24]) {
      const nonce = new Uint8Array(length);
      expect(() => seal(cipher, key, nonce, key, key)).toThrow(RangeError);
      expect(() => unseal(cipher, key, nonce, key, key)).toThrow(RangeError);
    }
  });
});
