/** `gigatun genpsk`: a new preshared key on stdout. */
import { formatKey, generatePresharedKey } from '../control/key-text.ts';
import { EXIT_OK } from './exit-code.ts';
import { warnIfReadable } from './genkey.ts';
import { print } from './print.ts';

export function genpsk(): number {
  warnIfReadable();
  print(`${formatKey(generatePresharedKey())}\n`);
  return EXIT_OK;
}
