/** `gigatun down`: asks the gigatun of an interface to end, and waits until all of it is gone. */
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../control/command.ts';
import { interfaceNameOf } from '../control/config-load.ts';
import { ControlClient } from '../control/control-client.ts';
import { createLogger, logLevelOf } from '../control/log.ts';
import { recoverTunnel } from '../control/recovery.ts';
import { runDirectory } from '../control/run-directory.ts';
import { type ErrorCode, GigatunError } from '../errors.ts';
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
    return await ControlClient.connectEarly(directory, name);
  } catch (error) {
    if (!hasCode(error, 'NOT_FOUND')) throw error;
    const recovered = await recover(directory, name);
    if (recovered === 'busy') return await ControlClient.connectEarly(directory, name);
    if (recovered === 'nothing') throw error;
    say(`gigatun: ${name} had not ended by itself; what it left behind is removed`);
    return null;
  }
}

/** Busy: somebody has started meanwhile. */
async function recover(directory: string, name: string): Promise<'removed' | 'nothing' | 'busy'> {
  const log = createLogger(logLevelOf(process.env.LOG_LEVEL, 'error', (text) => say(`gigatun: ${text}`)));
  try {
    return (await recoverTunnel({ name, directory, run: runCommand, log })) ? 'removed' : 'nothing';
  } catch (error) {
    if (hasCode(error, 'BUSY')) return 'busy';
    throw error;
  }
}

function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof GigatunError && error.code === code;
}
