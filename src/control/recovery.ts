/**
 * Cleans up after a gigatun that was killed: undoes what its journal holds and removes its sockets. Meanwhile it holds
 * the interface's starting socket, as a start does, so that nobody starts, or cleans up, under its hands.
 */
import { existsSync, rmSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import type { RunCommand } from './command.ts';
import { type ControlHandlers, isAlive, openControlServer } from './control-server.ts';
import { recoverLink } from './link-apply.ts';
import type { Logger } from './log.ts';
import { journalPath, prepareRunDirectory, socketPath, startingSocketPath } from './run-directory.ts';

export interface RecoveryRequest {
  /** Interface name. */
  readonly name: string;
  /** The run directory. */
  readonly directory: string;
  readonly run: RunCommand;
  readonly log: Logger;
}

/**
 * Removes what a killed gigatun of this interface has left behind.
 *
 * @returns whether there was anything.
 * @throws GigatunError BUSY when one of this name lives, SYSTEM with all that could not be undone; the journal keeps that.
 */
export async function recoverTunnel({ name, directory, run, log }: RecoveryRequest): Promise<boolean> {
  const [ready, starting] = [socketPath(directory, name), startingSocketPath(directory, name)];
  const journal = journalPath(directory, name);
  if (![ready, starting, journal].some((path) => existsSync(path))) return false;
  // Whoever could write the journal could have any program run.
  prepareRunDirectory(directory);
  const held = await openControlServer(starting, busyHandlers(name), log);
  try {
    if (await isAlive(ready)) throw new GigatunError('BUSY', `${name} is up`);
    rmSync(ready, { force: true });
    await recoverLink({ run, log, journal, signal: new AbortController().signal });
  } finally {
    await held.close();
  }
  return true;
}

function busyHandlers(name: string): ControlHandlers {
  const busy = (): never => {
    throw new GigatunError('BUSY', `what ${name} left behind is being removed; try again in a moment`);
  };
  return { status: busy, stats: busy, reload: busy, difference: busy, version: busy, down: busy };
}
