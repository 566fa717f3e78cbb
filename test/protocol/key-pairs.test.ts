/** New key pairs under garbage collection at every moment, in a process of its own, for what may go wrong stops it for good. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const X25519 = new URL('../../dist/protocol/x25519.js', import.meta.url);
const PAIRS = 20_000;
/** Every so many allocations V8 collects; the deadlock that there was came within a few hundred pairs. */
const ALLOCATIONS_PER_COLLECTION = 37;

const SCRIPT = `
  import { generateKeyPair, sharedSecret } from ${JSON.stringify(fileURLToPath(X25519))};
  let last = generateKeyPair();
  let agreed = 0;
  for (let made = 0; made < ${PAIRS}; made++) {
    const next = generateKeyPair();
    if (made % 100 === 0) agreed += Number(Buffer.compare(
      sharedSecret(last.privateKey, next.publicKey), sharedSecret(next.privateKey, last.publicKey)) === 0);
    last = next;
  }
  console.log(agreed);
`;

it('are made while garbage is collected at any moment, with public keys that belong to them', async () => {
  const flags = [`--gc-interval=${ALLOCATIONS_PER_COLLECTION}`, '--input-type=module', '--eval', SCRIPT];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { timeout: 60_000, killSignal: 'SIGKILL' });
  expect(Number(stdout)).toBe(PAIRS / 100);
});
