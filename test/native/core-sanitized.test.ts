/**
 * The C core by itself, under AddressSanitizer and UBSan: its own tests, and every AEAD back end (OpenSSL by way of EVP
 * and directly, ipsec-mb) over Wycheproof, RFC 8439 and random cases of both ciphers. Direct calls into OpenSSL need a libcrypto whose
 * inner routines can be linked: the static one.
 */
import { spawnSync } from 'node:child_process';
import { createCipheriv, randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadVectors, vectorsArePresent, vectorTitle } from '../vectors/load.ts';
import { ABSENT, casesOf, type AeadCase as WycheproofAeadCase, type WycheproofFile } from '../vectors/wycheproof.ts';
import { compilerMissing, ROOT, run, titled } from './support.ts';

const FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-g', '-O1', '-fno-omit-frame-pointer', '-fno-sanitize-recover=all'];
const SANITIZERS = ['-fsanitize=address,undefined'];
const STATIC_CRYPTO = ['-Wl,--export-dynamic', '-Wl,-Bstatic', '-lcrypto', '-Wl,-Bdynamic', '-lpthread', '-ldl'];
const missing = compilerMissing();
const cryptoMissing = missing ?? staticCryptoMissing();
let folder = '';

function staticCryptoMissing(): string | null {
  const source = '#include <openssl/evp.h>\nint main(void) { return EVP_CIPHER_CTX_new() == 0; }';
  const args = ['-x', 'c', '-', '-o', '/dev/null', ...STATIC_CRYPTO];
  return spawnSync('cc', args, { input: source }).status === 0
    ? null
    : 'needs libcrypto.a and its headers (libssl-dev)';
}

function multiBufferMissing(): string | null {
  const source = '#include <dlfcn.h>\nint main(void) { return dlopen("libIPSec_MB.so.1", RTLD_NOW) == 0; }';
  const program = join(mkdtempSync(join(tmpdir(), 'gigatun-probe-')), 'probe');
  const built = spawnSync('cc', ['-x', 'c', '-', '-o', program, '-ldl'], { input: source });
  const found = built.status === 0 && spawnSync(program).status === 0;
  rmSync(dirname(program), { recursive: true });
  return found ? null : 'needs libIPSec_MB.so.1 (libipsec-mb1)';
}

const core = (name: string) => join(ROOT, 'native/core', name);
const cores = () => readdirSync(join(ROOT, 'native/core')).filter((name) => name.endsWith('.c'));
const own = (name: string) => join(ROOT, 'native/test', name);

function compile(program: string, sources: string[], libraries: string[]): string {
  const out = join(folder, program);
  run('cc', ...FLAGS, ...SANITIZERS, '-o', out, ...sources, ...libraries);
  return out;
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gigatun-core-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the core under sanitizers', () => {
  test.skipIf(missing !== null)(titled('its own tests pass', missing), { timeout: 120_000 }, () => {
    const tests = readdirSync(join(ROOT, 'native/test')).filter(
      (name) => name.endsWith('.c') && name !== 'aead_test.c',
    );
    const program = compile(
      'core',
      [
        ...cores()
          .filter((name) => !name.startsWith('aead'))
          .map(core),
        ...tests.map(own),
      ],
      ['-ldl'],
    );
    const { status, stdout, stderr } = spawnSync(program, { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.trim().split('\n')).toEqual(
      ['arena', 'checksum', 'books', 'keys', 'wait', 'tun', 'udp', 'crypt', 'process', 'accumulate', 'handshake'].map(
        (name) => `ok ${name}`,
      ),
    );
  });
});

interface AeadCase {
  readonly cipher: CipherName;
  readonly fields: readonly string[]; // key, nonce, associated data, message, ciphertext, tag: hexadecimal
  readonly valid: boolean;
}

type CipherName = 'chacha20-poly1305' | 'aes-256-gcm';

/** Files of Wycheproof, and how many of their cases have a key of 256 bits, a nonce of 96 and a tag of 128: no other can be expressed. */
const WYCHEPROOF: readonly [CipherName, string, number][] = [
  ['chacha20-poly1305', 'wycheproof-chacha20_poly1305.json', 316],
  ['aes-256-gcm', 'wycheproof-aes_gcm.json', 66],
];

function wycheproofCases(cipher: CipherName, name: string): AeadCase[] {
  const cases = casesOf(loadVectors<WycheproofFile<WycheproofAeadCase>>(name, ABSENT));
  return cases
    .filter(({ key, iv, tag }) => key.length === 64 && iv.length === 24 && tag.length === 32)
    .map((c) => ({ cipher, fields: [c.key, c.iv, c.aad, c.msg, c.ct, c.tag], valid: c.result === 'valid' }));
}

/** RFC 8439, 2.8.2. */
const RFC_CASE: AeadCase = {
  cipher: 'chacha20-poly1305',
  fields: [
    '808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f',
    '070000004041424344454647',
    '50515253c0c1c2c3c4c5c6c7',
    Buffer.from(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    ).toString('hex'),
    `d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b29
     05d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b
     6116`.replaceAll(/\s/g, ''),
    '1ae10b594f09e26a7e902ecbd0600691',
  ],
  valid: true,
};

/** A message of this length as node:crypto seals it, or the same with one bit of ciphertext or tag turned. */
function randomCase(name: CipherName, length: number, valid: boolean): AeadCase {
  const [key, nonce, associated, message] = [32, 12, length % 40, length].map((size) => randomBytes(size));
  if (!key || !nonce || !associated || !message) throw new Error('unreachable');
  const cipher = createCipheriv(name as 'chacha20-poly1305', key, nonce, { authTagLength: 16 });
  cipher.setAAD(associated, { plaintextLength: length });
  const sealed = Buffer.concat([cipher.update(message), cipher.final(), cipher.getAuthTag()]);
  const turned = length * 7919 + 3;
  const at = turned % sealed.length;
  if (!valid) sealed[at] = (sealed[at] ?? 0) ^ (1 << (turned % 8));
  const parts = [key, nonce, associated, message, sealed.subarray(0, length), sealed.subarray(length)];
  return { cipher: name, fields: parts.map((part) => part.toString('hex')), valid };
}

/** Lengths around every boundary: blocks of 16 and 64 bytes, vector widths, and the direct way's scratch of 2,048. */
function randomCases(): AeadCase[] {
  const edges = [0, 64, 128, 192, 256, 512, 1024, 1420, 2048, 2112, 3072, 4096, 9000].flatMap((edge) =>
    [-17, -16, -15, -1, 0, 1, 15, 16, 17].map((step) => edge + step),
  );
  return edges
    .filter((length) => length >= 0)
    .flatMap((length) =>
      WYCHEPROOF.flatMap(([name]) => [randomCase(name, length, true), randomCase(name, length, false)]),
    );
}

let aeadProgram: string | undefined;

function compileAead(): string {
  const backEnds = cores().filter((name) => name.startsWith('aead'));
  return compile('aead', [own('aead_test.c'), ...backEnds.map(core), core('keys.c')], STATIC_CRYPTO);
}

describe.each([
  ['evp', cryptoMissing],
  ['direct', cryptoMissing],
  ['ipsec-mb', cryptoMissing ?? multiBufferMissing()],
])('the AEAD back end %s', (way, wayMissing) => {
  const runCases = (cases: AeadCase[]) => {
    aeadProgram ??= compileAead();
    const line = ({ cipher, fields, valid }: AeadCase) =>
      [cipher, ...fields.map((f) => f || '-'), valid ? 'valid' : 'invalid'].join(' ');
    return spawnSync(aeadProgram, [way], { input: cases.map(line).join('\n'), encoding: 'utf8' });
  };

  test.skipIf(wayMissing !== null)(
    titled('seals and unseals RFC 8439 and random cases', wayMissing),
    { timeout: 60_000 },
    () => {
      const cases = [RFC_CASE, ...randomCases()];
      const { status, stdout, stderr } = runCases(cases);
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `cases ${cases.length}\n`, stderr: '' });
    },
  );

  for (const [cipher, file, count] of WYCHEPROOF) {
    const title = vectorTitle(titled(`passes every Wycheproof case of ${cipher}`, wayMissing));
    test.skipIf(wayMissing !== null || !vectorsArePresent)(title, { timeout: 60_000 }, () => {
      const cases = wycheproofCases(cipher, file);
      expect(cases.length).toBe(count);
      const { status, stdout, stderr } = runCases(cases);
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: `cases ${count}\n`, stderr: '' });
    });
  }
});
