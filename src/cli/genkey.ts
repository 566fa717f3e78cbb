/** `gigatun genkey`: a new private key on stdout. */
import { fstatSync } from 'node:fs';
import { formatKey, generatePrivateKey } from '../control/key-text.ts';
import { EXIT_OK } from './exit-code.ts';
import { print, say } from './print.ts';

export function genkey(): number {
  warnIfReadable();
  print(`${formatKey(generatePrivateKey())}\n`);
  return EXIT_OK;
}

/** Says so when stdout is a file that others may read. */
export function warnIfReadable(): void {
  const stats = fstatSync(1);
  if (stats.isFile() && (stats.mode & 0o007) !== 0) say('warning: everybody may read this file; use umask 077');
}
