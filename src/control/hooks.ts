/**
 * Runs the shell commands of a configuration file, as wg-quick does: one after the other, `%i` replaced by the interface
 * name, by bash where there is one. Their output goes to this process's stderr.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import { quoteValue } from './config-problems.ts';
import type { Logger } from './log.ts';

const SHELLS = ['/bin/bash', '/bin/sh'] as const;

/**
 * Runs commands in order.
 *
 * @param key the configuration key they come from, such as `PreUp`.
 * @throws GigatunError SYSTEM at the first that fails; those behind it do not run.
 */
export async function runHooks(key: string, commands: readonly string[], name: string, log: Logger): Promise<void> {
  for (const command of commands) {
    log.info('hook', { key, name });
    const status = await runShell(command.replaceAll('%i', name));
    if (status !== 0) throw new GigatunError('SYSTEM', `a ${key} command failed (${status}): ${quoteValue(command)}`);
  }
}

function runShell(command: string): Promise<number | string> {
  const shell = SHELLS.find((path) => existsSync(path)) ?? 'sh';
  return new Promise((resolve) => {
    const child = spawn(shell, ['-c', command], { stdio: ['ignore', 2, 2] });
    child.on('error', (error) => resolve(error.message));
    child.on('exit', (status, signal) => resolve(status ?? `signal ${signal}`));
  });
}
