/** `gigatun pubkey`: a private key on stdin, its public key on stdout. */
import { readKey } from '../control/config-values.ts';
import { formatKey, publicKeyOf } from '../control/key-text.ts';
import { GigatunError } from '../errors.ts';
import { EXIT_OK } from './exit-code.ts';
import { print } from './print.ts';

/** A key is 44 characters; whoever sends more sends something else. */
const INPUT_LENGTH_MAX = 1_024;

export async function pubkey(): Promise<number> {
  const reading = readKey((await readInput()).trim());
  if (!reading.ok) {
    const { expected, got, hint } = reading.complaint;
    throw new GigatunError('CONFIG', `expected ${expected} on standard input, got ${got}; ${hint}`);
  }
  print(`${formatKey(publicKeyOf(reading.value))}\n`);
  return EXIT_OK;
}

async function readInput(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > INPUT_LENGTH_MAX) break;
  }
  return text;
}
