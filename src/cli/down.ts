/** `gigatun down`: asks the gigatun of an interface to end, and waits until all of it is gone. */
import { existsSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../control/command.ts';
import { interfaceNameOf } from '../control/config-load.ts';
import { ControlClient } from '../control/control-client.ts';
import { recoverLink } from '../control/link-apply.ts';
import { createLogger, logLevelOf } from '../control/log.ts';
import { journalPath, runDirectory, socketPath } from '../control/run-directory.ts';
import { GigatunError } from '../errors.ts';
import { EXIT_OK } from './exit-code.ts';
import { say } from './print.ts';

/** PreDown and PostDown commands may take their time. */
const DOWN_LIMIT_MS = 120_000;
const CLOSE_LIMIT_MS = 5_000;

export async function down(argument: string): Promise<number> {
  const name = interfaceNameOf(argument);
  const directory = runDirectory();
  const client = await connectOrRecover(directory, name);
  if (client === null) return EXIT_OK;
  try {
    await client.call('down', DOWN_LIMIT_MS);
    await Promise.race([client.closed, delay(CLOSE_LIMIT_MS, undefined, { ref: false })]);
  } finally {
    client.close();
  }
  return EXIT_OK;
}

/** Null when nobody was there but leftovers of a killed one, which are then removed. */
async function connectOrRecover(directory: string, name: string): Promise<ControlClient | null> {
  try {
    return await ControlClient.connect(directory, name);
  } catch (error) {
    const missing = error instanceof GigatunError && error.code === 'NOT_FOUND';
    if (!missing || !(await recover(directory, name))) throw error;
    say(`gigatun: ${name} had not ended by itself; what it left behind is removed`);
    return null;
  }
}

async function recover(directory: string, name: string): Promise<boolean> {
  const socket = socketPath(directory, name);
  const hadSocket = existsSync(socket);
  const log = createLogger(logLevelOf(process.env.LOG_LEVEL, 'error'));
  const signal = new AbortController().signal;
  const hadJournal = await recoverLink({ run: runCommand, log, journal: journalPath(directory, name), signal });
  rmSync(socket, { force: true });
  return hadSocket || hadJournal;
}
