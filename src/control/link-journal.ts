/**
 * The journal of a link: what has to be undone, in a file, so that the next process can do it when this one is killed. It
 * is replaced whole at each change, and absent while there is nothing to undo.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import type { Action } from './link-plan.ts';
import { asGigatunError, codeOf } from './system-error.ts';

/** @throws GigatunError of the write. */
export function writeJournal(journal: string, undos: readonly Action[]): void {
  try {
    writeFileSync(`${journal}.new`, JSON.stringify(undos), { mode: 0o600 });
    renameSync(`${journal}.new`, journal);
  } catch (error) {
    // On a full disk the empty file would stay.
    rmSync(`${journal}.new`, { force: true });
    throw asGigatunError(error, `write ${journal}`);
  }
}

/** @returns null when there is none. @throws GigatunError CONFIG when it is no journal. */
export function readJournal(journal: string): Action[] | null {
  let text: string;
  try {
    text = readFileSync(journal, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw asGigatunError(error, `read ${journal}`);
  }
  return parseJournal(text, journal);
}

function parseJournal(text: string, journal: string): Action[] {
  const broken = new GigatunError(
    'CONFIG',
    `expected a journal of gigatun in ${journal}, got something else; remove it`,
  );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken;
  }
  if (!Array.isArray(value) || !value.every(isAction)) throw broken;
  return value;
}

/** Programs that an undoing may run; the journal is its owner's file, this guards against a mix-up. */
const UNDO_PROGRAMS: readonly unknown[] = ['ip', 'nft', 'resolvconf'];

function isAction(value: unknown): value is Action {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  if (value.kind !== 'run' || !('command' in value)) return false;
  const { command } = value;
  if (typeof command !== 'object' || command === null || !('program' in command) || !('args' in command)) return false;
  const { program, args } = command;
  const words = Array.isArray(args) && args.every((word) => typeof word === 'string');
  return words && UNDO_PROGRAMS.includes(program);
}
