#!/usr/bin/env node
/**
 * The program `gigatun`: everything of it is in `program.ts` and the file of each command. The short form `gigatun IFACE`
 * goes past the command line's parser: whoever calls it, such as wg-quick, waits for it.
 */
import { readShortForm } from './short-form.ts';

process.exitCode = await run(process.argv.slice(2));

async function run(args: readonly string[]): Promise<number> {
  const form = readShortForm(args);
  if (form === null) return await (await import('./program.ts')).runProgram(args);
  return await (await import('./daemon.ts')).runShortForm(form);
}
