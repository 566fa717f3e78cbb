/** What the commands say: figures and keys to stdout, everything meant for a person in between to stderr. */
import { writeSync } from 'node:fs';
import { GigatunError } from '../errors.ts';

/** Writes text to stdout. */
export function print(text: string): void {
  process.stdout.write(text);
}

/** Writes a value to stdout as indented JSON. */
export function printJson(value: unknown): void {
  print(`${JSON.stringify(value, null, 2)}\n`);
}

/** Writes a line for a person to stderr. */
export function say(text: string): void {
  try {
    writeSync(2, `${text}\n`);
  } catch {
    // A closed or full stderr must not end a tunnel.
  }
}

/** Says what went wrong. Configuration problems carry their own file, line and column. */
export function sayError(error: unknown): void {
  if (error instanceof GigatunError)
    say(/:\d+:\d+: /.test(error.message) ? error.message : `gigatun: ${error.message}`);
  else say(`gigatun: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
}

/** Ends the program quietly when whoever reads its output has gone, as in `gigatun show | head -1`. */
export function endWithReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
}
