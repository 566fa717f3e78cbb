/**
 * Programs that gigatun runs (ip, nft, resolvconf): always with an argument array, never through a shell, with the C
 * locale and a time limit. Only the hooks of a configuration file are shell commands, by their nature.
 */
import { execFile } from 'node:child_process';
import { GigatunError } from '../errors.ts';
import { codeOf } from './system-error.ts';

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** For its standard input. */
  readonly input?: string;
}

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end; replaced in tests. */
export type RunCommand = (command: Command) => Promise<CommandResult>;

const TIME_LIMIT_MS = 60_000;
const OUTPUT_LENGTH_MAX = 64 * 1024 * 1024;

/** Package that has a program, for the hint when it is missing. */
const PACKAGES: ReadonlyMap<string, string> = new Map([
  ['ip', 'iproute2'],
  ['nft', 'nftables'],
  ['resolvconf', 'openresolv'],
]);

/**
 * Runs a command; a status other than 0 is a result, not an error.
 *
 * @throws GigatunError UNSUPPORTED when the program is missing, SYSTEM when it was ended by a signal or the time limit.
 */
export const runCommand: RunCommand = (command) =>
  new Promise((resolve, reject) => {
    const options = { env: { ...process.env, LC_ALL: 'C' }, timeout: TIME_LIMIT_MS, maxBuffer: OUTPUT_LENGTH_MAX };
    const child = execFile(command.program, [...command.args], options, (error, stdout, stderr) => {
      const status = error === null ? 0 : error.code;
      if (typeof status === 'number') resolve({ status, stdout, stderr });
      else reject(failedStart(command, error));
    });
    // A program that ends before it has read its input breaks the pipe; its status tells why.
    child.stdin?.on('error', () => {});
    child.stdin?.end(command.input ?? '');
  });

function failedStart(command: Command, cause: unknown): GigatunError {
  if (codeOf(cause) !== 'ENOENT')
    return new GigatunError('SYSTEM', `${formatCommand(command)} did not end by itself`, { cause });
  const packageName = PACKAGES.get(command.program) ?? command.program;
  return new GigatunError(
    'UNSUPPORTED',
    `expected the program ${command.program}, found none; install ${packageName} (apt-get install ${packageName})`,
    { cause },
  );
}

/**
 * Runs a command that must succeed.
 *
 * @throws GigatunError PERMISSION or SYSTEM with the command and its own words.
 */
export async function requireCommand(run: RunCommand, command: Command): Promise<CommandResult> {
  const result = await run(command);
  if (result.status === 0) return result;
  const words = result.stderr.trim().replaceAll(/\s*\n\s*/g, '; ') || `status ${result.status}`;
  const denied = /Operation not permitted|Permission denied/.test(words);
  throw new GigatunError(
    denied ? 'PERMISSION' : 'SYSTEM',
    `${formatCommand(command)} failed: ${words}${hintFor(command, words)}`,
  );
}

function hintFor(command: Command, words: string): string {
  const failedLine = /Command failed -:(\d+)/.exec(words)?.[1];
  const line = failedLine === undefined ? undefined : command.input?.split('\n')[Number(failedLine) - 1];
  const where = line === undefined ? '' : ` (${line})`;
  if (/File exists/.test(words))
    return `${where}; it exists already${line === undefined ? '' : ': remove it, or set Table = off'}`;
  if (/Permission denied/.test(words) && command.args.includes('-6'))
    return `${where}; is IPv6 disabled on this machine?`;
  return where;
}

/** A command as somebody would type it. */
export function formatCommand(command: Command): string {
  const words = [command.program, ...command.args].map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word),
  );
  return words.join(' ');
}
