/**
 * Runs the shell commands of a configuration file, as wg-quick does: one after the other, `%i` replaced by the interface
 * name, by bash where there is one. Their output goes to this process's stderr. Each runs in a session of its own, so
 * that it can be ended with everything it has started.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import { quoteValue } from './config-problems.ts';
import type { Logger } from './log.ts';

const SHELLS = ['/bin/bash', '/bin/sh'] as const;
/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 2_000;

export interface HookTools {
  /** Interface name. */
  readonly name: string;
  readonly log: Logger;
  /** Ends the command under way, with what it has started, and leaves out the others. */
  readonly signal: AbortSignal;
}

/**
 * Runs commands in order.
 *
 * @param key the configuration key they come from, such as `PreUp`.
 * @throws GigatunError SYSTEM at the first that fails, GONE at the one that the signal ended or left out; those behind
 *   it do not run.
 */
export async function runHooks(key: string, commands: readonly string[], tools: HookTools): Promise<void> {
  const { name, log, signal } = tools;
  for (const command of commands) {
    if (signal.aborted) throw new GigatunError('GONE', `a ${key} command was left out: ${quoteValue(command)}`);
    log.info('hook', { key, name });
    const status = await runShell(command.replaceAll('%i', name), signal);
    if (signal.aborted)
      throw new GigatunError('GONE', `a ${key} command was ended (${status}): ${quoteValue(command)}`);
    if (status !== 0) throw new GigatunError('SYSTEM', `a ${key} command failed (${status}): ${quoteValue(command)}`);
  }
}

function runShell(command: string, signal: AbortSignal): Promise<number | string> {
  const shell = SHELLS.find((path) => existsSync(path)) ?? 'sh';
  return new Promise((resolve) => {
    const child = spawn(shell, ['-c', command], { stdio: ['ignore', 2, 2], detached: true });
    const stopWatching = endOnAbort(child, signal);
    const settle = (status: number | string): void => {
      stopWatching();
      resolve(status);
    };
    child.on('error', (error) => settle(error.message));
    child.on('exit', (status, endedBy) => settle(status ?? `signal ${endedBy}`));
  });
}

/** @returns what forgets the signal again, once the child has ended. */
function endOnAbort(child: ChildProcess, signal: AbortSignal): () => void {
  let force: NodeJS.Timeout | undefined;
  const end = (): void => {
    killSession(child, 'SIGTERM');
    force = setTimeout(() => killSession(child, 'SIGKILL'), GRACE_MS);
  };
  signal.addEventListener('abort', end, { once: true });
  return () => {
    signal.removeEventListener('abort', end);
    clearTimeout(force);
  };
}

function killSession({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has just ended.
  }
}
