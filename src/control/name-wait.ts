/**
 * Takes an interface's name, and waits for it. Whoever takes an interface down and up again at once (`wg-quick`, `systemctl restart`)
 * deletes it and does not wait for its gigatun, which may still be closing, or may not even have noticed.
 */
import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { GigatunError } from '../errors.ts';
import { asRecord } from './control-protocol.ts';
import { type ControlHandlers, type ControlServer, isAlive, openControlServer } from './control-server.ts';
import type { Logger } from './log.ts';
import { socketPath, startingSocketPath } from './run-directory.ts';

/** One that runs has this long to notice that its interface has gone; one that is closing, to be done. */
const RUNNING_LIMIT_MS = 1_000;
const CLOSING_LIMIT_MS = 10_000;
const ANSWER_LIMIT_MS = 500;
const INTERVAL_MS = 20;

/**
 * Opens the control socket of an interface under its starting name, which keeps a second start out.
 *
 * @throws GigatunError BUSY when another gigatun is up or starts under this name; then nothing is open.
 */
export async function openStartingServer(
  directory: string,
  name: string,
  handlers: ControlHandlers,
  log: Logger,
): Promise<ControlServer> {
  // First: one that closes removes the name under which it started, too.
  await untilNameFree(directory, name);
  const server = await openControlServer(startingSocketPath(directory, name), handlers, log);
  if (await isAlive(socketPath(directory, name))) {
    await server.close();
    throw nameTaken(name);
  }
  // A killed process may have left it: nobody shall take it for ours before we are ready.
  rmSync(socketPath(directory, name), { force: true });
  return server;
}

/**
 * Resolves when no gigatun of an interface is up, at once where there is none.
 *
 * @throws GigatunError BUSY when one is and stays.
 */
export async function untilNameFree(directory: string, name: string): Promise<void> {
  const startedMs = performance.now();
  while (await isAlive(socketPath(directory, name))) {
    const limitMs = (await isClosing(directory, name)) ? CLOSING_LIMIT_MS : RUNNING_LIMIT_MS;
    if (performance.now() - startedMs > limitMs) throw nameTaken(name);
    await delay(INTERVAL_MS);
  }
}

/** The error for a name whose gigatun is up. */
function nameTaken(name: string): GigatunError {
  return new GigatunError('BUSY', `${name} is up already; end it with: gigatun down ${name}`);
}

async function isClosing(directory: string, name: string): Promise<boolean> {
  const { ControlClient } = await import('./control-client.ts');
  try {
    const client = await ControlClient.connect(directory, name);
    const answer = await client.call('version', ANSWER_LIMIT_MS).finally(() => client.close());
    return asRecord(answer).state === 'closing';
  } catch {
    // It has just gone, or says nothing: the next look tells.
    return false;
  }
}
