/** The version of this package, from its package.json. */
import { readFileSync } from 'node:fs';
import { asRecord } from '../control/control-protocol.ts';

export function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  const { version } = asRecord(JSON.parse(readFileSync(file, 'utf8')));
  return typeof version === 'string' ? version : 'unknown';
}
