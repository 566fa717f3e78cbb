/** Addresses, keys, names and log lines as text, against independent twins and published vectors. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isInterfaceName } from '../../src/control/interface-name.ts';
import { coversPrefix, formatAddress, formatPrefix, maskPrefix, parseAddress } from '../../src/control/ip-text.ts';
import {
  formatKey,
  generatePresharedKey,
  generatePrivateKey,
  parseKey,
  publicKeyOf,
} from '../../src/control/key-text.ts';
import { createLogger, logLevelOf } from '../../src/control/log.ts';
import { nearest } from '../../src/control/nearest.ts';
import { prefix } from './support/arbitrary-config.ts';

const bytes16 = fc.oneof(
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  fc.array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 }).map((list) => Uint8Array.from(list)),
);

describe('an address', () => {
  it.each([
    ['::', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:0:0:2::', '1:0:0:2::'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['255.0.1.2', '255.0.1.2'],
  ])('%s is written %s', (text, canonical) => {
    const address = parseAddress(text);
    expect(address === null ? null : formatAddress(address)).toBe(canonical);
  });

  it.each(['', '1.2.3', '1.2.3.256', '01.2.3.4', ':::', '1::2::3', 'fe80::1%eth0', '[::1]', ' 1.2.3.4', 'localhost'])(
    '%j is none',
    (text) => {
      expect(parseAddress(text)).toBeNull();
    },
  );

  it('comes back from its text', () => {
    fc.assert(
      fc.property(prefix, ({ address }) => {
        expect(parseAddress(formatAddress(address))).toEqual(address);
      }),
    );
  });

  it('is spelled as the URL standard spells it', () => {
    const isMapped = (bytes: Uint8Array): boolean => formatAddress(bytes).startsWith('::ffff:') && bytes[10] === 0xff;
    fc.assert(
      fc.property(
        bytes16.filter((bytes) => !isMapped(bytes)),
        (bytes) => {
          const long = Buffer.from(bytes).toString('hex').match(/.{4}/g)?.join(':');
          expect(`[${formatAddress(bytes)}]`).toBe(new URL(`http://[${long}]/`).hostname);
        },
      ),
    );
  });
});

describe('a prefix', () => {
  const bitsOf = (address: Uint8Array): string =>
    [...address].map((byte) => byte.toString(2).padStart(8, '0')).join('');

  it('loses its host bits', () => {
    fc.assert(
      fc.property(prefix, ({ address, length }) => {
        const bits = bitsOf(address);
        const masked = maskPrefix({ address, length });
        expect(bitsOf(masked.address)).toBe(bits.slice(0, length).padEnd(bits.length, '0'));
        expect(masked.length).toBe(length);
      }),
    );
  });

  it('covers what begins with its bits', () => {
    fc.assert(
      fc.property(prefix, prefix, (outer, inner) => {
        const sameFamily = outer.address.length === inner.address.length;
        const begins = bitsOf(inner.address).startsWith(bitsOf(outer.address).slice(0, outer.length));
        expect(coversPrefix(outer, inner)).toBe(sameFamily && outer.length <= inner.length && begins);
        expect(coversPrefix(inner, inner)).toBe(true);
      }),
    );
  });

  it('is written with its length', () => {
    expect(formatPrefix({ address: Uint8Array.of(10, 0, 0, 1), length: 24 })).toBe('10.0.0.1/24');
  });
});

describe('a key', () => {
  it.each([
    [
      '77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a',
      '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    ],
    [
      '5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb',
      'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    ],
  ])('%s has the public key of RFC 7748, section 6.1', (privateKey, publicKey) => {
    expect(Buffer.from(publicKeyOf(Buffer.from(privateKey, 'hex'))).toString('hex')).toBe(publicKey);
  });

  it('comes back from its text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        expect(parseKey(formatKey(key))).toEqual(key);
        expect(formatKey(key)).toBe(Buffer.from(key).toString('base64'));
      }),
    );
  });

  it('has one spelling only', () => {
    const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
    const last = [...digits].filter((digit) => parseKey(`${'A'.repeat(42)}${digit}=`) !== null);
    expect(last.join('')).toBe('AEIMQUYcgkosw048');
  });

  it.each([
    '',
    'A'.repeat(44),
    `${'A'.repeat(43)}`,
    `${'A'.repeat(43)}=\n`,
    `${'A'.repeat(42)}_=`,
    `${'A'.repeat(44)}=`,
  ])('%j is none', (text) => {
    expect(parseKey(text)).toBeNull();
  });

  it('is drawn clamped, and new each time', () => {
    const keys = Array.from({ length: 50 }, generatePrivateKey);
    for (const key of keys) expect([(key[0] ?? 1) & 7, (key[31] ?? 0) & 0xc0]).toEqual([0, 0x40]);
    expect(new Set([...keys, generatePresharedKey()].map(formatKey)).size).toBe(51);
  });
});

describe('an interface name', () => {
  it.each(['wg0', 'a', 'A_=+.-9', 'x'.repeat(15), '-'])('%s is one', (name) =>
    expect(isInterfaceName(name)).toBe(true),
  );
  it.each(['', '.', '..', 'x'.repeat(16), 'a/b', 'a b', 'a\n', 'é', 'a%d'])('%j is none', (name) =>
    expect(isInterfaceName(name)).toBe(false),
  );
});

describe('the log', () => {
  it('writes a line per event from its level on', () => {
    const lines: string[] = [];
    const log = createLogger('warn', (line) => lines.push(line));
    log.info('no');
    log.warn('with\n  newline', { count: 2, text: 'two words', path: '/a/b', none: null });
    log.error('yes');
    expect(lines.map((line) => line.replace(/^\S+ /, ''))).toEqual([
      'warn with | newline count=2 text="two words" path=/a/b none=null\n',
      'error yes\n',
    ]);
  });

  it('does not fail with its destination', () => {
    const log = createLogger('debug', () => {
      throw new Error('disk full');
    });
    expect(() => log.error('x')).not.toThrow();
  });

  it.each([
    ['verbose', 'debug', 0],
    ['DEBUG', 'debug', 0],
    ['silent', 'silent', 0],
    ['', 'error', 0],
    [undefined, 'error', 0],
    ['nonsense', 'error', 1],
  ] as const)('level %s is %s, with %i warnings', (text, level, count) => {
    const warnings: string[] = [];
    expect(logLevelOf(text, 'error', (warning) => warnings.push(warning))).toBe(level);
    expect(warnings).toHaveLength(count);
    if (count > 0)
      expect(warnings[0]).toMatch(/verbose, debug, info, warn, error, silent, got "nonsense"; it is error/);
  });
});

describe('the nearest word', () => {
  it.each([
    ['adress', 'Address'],
    ['ENDPOIN', 'Endpoint'],
    ['xyz', null],
    ['', null],
  ])('to %j is %j', (word, expected) => expect(nearest(word, ['Address', 'Endpoint'])).toBe(expected));
});
