/**
 * The core's batch verbs under clang's libFuzzer with AddressSanitizer and UBSan: a bounded number of inputs from a fixed
 * seed, in a network namespace of the program's own. GIGATUN_FUZZ_RUNS asks for more.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT, titled } from './support.ts';

const RUNS = Number(process.env.GIGATUN_FUZZ_RUNS ?? 300_000);
const SEED = Number(process.env.GIGATUN_FUZZ_SEED ?? 1);
const FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-g', '-O1', '-fno-omit-frame-pointer', '-fno-sanitize-recover=all'];
const SANITIZERS = ['-fsanitize=fuzzer,address,undefined'];
const missing = fuzzerMissing();
let folder = '';

function fuzzerMissing(): string | null {
  const source = 'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return d == 0 && n > 0; }';
  const args = ['-x', 'c', '-', '-o', '/dev/null', ...SANITIZERS];
  return spawnSync('clang', args, { input: source }).status === 0 ? null : 'needs clang and its libFuzzer (clang)';
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gigatun-fuzz-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(missing !== null)(titled('the core under libFuzzer', missing), () => {
  test('takes descriptors of any content without a report', { timeout: 600_000 }, () => {
    const cores = readdirSync(join(ROOT, 'native/core')).filter((name) => /^(?!aead).*\.c$/.test(name));
    const sources = [
      ...cores.map((name) => join('native/core', name)),
      ...['native/test/aead_double.c', 'native/test/fixture.c', 'native/fuzz/fuzz_verbs.c'],
    ];
    const program = join(folder, 'fuzz_verbs');
    const built = spawnSync('clang', [...FLAGS, ...SANITIZERS, '-o', program, ...sources, '-ldl'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect({ status: built.status, stderr: built.stderr }).toEqual({ status: 0, stderr: '' });
    const options = [`-runs=${RUNS}`, `-seed=${SEED}`, '-max_len=2048', '-timeout=10', '-rss_limit_mb=512'];
    const { status, stderr } = spawnSync(program, options, { cwd: folder, encoding: 'utf8', maxBuffer: 2 ** 28 });
    expect(status, stderr.slice(-4_000)).toBe(0);
    expect(stderr).toContain(`Done ${RUNS} runs`);
  });
});
