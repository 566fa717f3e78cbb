/**
 * `gigatun daemon IFACE`, in short `gigatun IFACE`: a device without configuration, which `wg` and `wg-quick` configure over
 * its UAPI socket. Without `--foreground` it starts itself again in the background, and returns when the interface and the
 * socket are there. Its settings come from options or, since wg-quick gives none, from the environment.
 */
import { fstatSync, readFileSync } from 'node:fs';
import { INTERFACE_NAME_RULE, isInterfaceName } from '../control/interface-name.ts';
import { nearest } from '../control/nearest.ts';
import { GigatunError } from '../errors.ts';
import { FIRST_PASSED_FD, startInBackground } from './background.ts';
import { COMMAND_NAMES } from './command-names.ts';
import { EXIT_OK, exitCodeOf } from './exit-code.ts';
import { say, sayError } from './print.ts';
import { isDropWanted, type PrivilegeOptions } from './privilege-options.ts';
import type { LogLevels } from './serve.ts';
import type { ShortForm } from './short-form.ts';

export interface DaemonOptions extends PrivilegeOptions {
  readonly foreground?: true;
  /** Worker threads. */
  readonly lanes?: number;
  /** Bytes: cap of resident memory. */
  readonly memory?: number;
}

/** Descriptors that the caller opened; null where there is none. */
export interface PassedDescriptors {
  readonly tunFd: number | null;
  readonly uapiFd: number | null;
}

/** wireguard-go has `error` in both cases. */
const LOG_LEVELS: LogLevels = { foreground: 'error', background: 'error' };
const TUN_FD_VARIABLE = 'WG_TUN_FD';
const UAPI_FD_VARIABLE = 'WG_UAPI_FD';

/** Runs `gigatun [-f] IFACE`; says what goes wrong. */
export async function runShortForm({ name, foreground, disableDropPrivileges }: ShortForm): Promise<number> {
  try {
    return await daemon(name, {
      ...(foreground ? { foreground } : {}),
      ...(disableDropPrivileges ? { disableDropPrivileges } : {}),
    });
  } catch (error) {
    sayError(error);
    return exitCodeOf(error);
  }
}

export async function daemon(argument: string, options: DaemonOptions): Promise<number> {
  checkName(argument);
  const passed = readPassedDescriptors();
  const name = passed.tunFd === null ? argument : nameOfTun(passed.tunFd);
  if (options.foreground === true || process.env.WG_PROCESS_FOREGROUND === '1')
    return await stayInForeground(name, options, passed);
  await startInBackground({
    name,
    nodeArgs: [],
    args: ['--foreground', '--', name],
    log: namesLogLevel(process.env.LOG_LEVEL) ? 'stderr' : 'file',
    ...passOn(options, passed),
  });
  const command = nearest(name, COMMAND_NAMES);
  if (command !== null)
    say(`gigatun: opened an interface ${name}; if you meant the command ${command}: gigatun down ${name}`);
  // What the event loop still holds is nothing to wait for, and the caller does wait.
  process.exit(EXIT_OK);
}

/** What it needs is loaded only where it runs. */
async function stayInForeground(name: string, options: DaemonOptions, passed: PassedDescriptors): Promise<number> {
  const [{ serve }, { startDaemon }] = await Promise.all([import('./serve.ts'), import('./daemon-start.ts')]);
  return await serve(LOG_LEVELS, (request) => startDaemon(name, options, passed, request));
}

function checkName(name: string): void {
  if (isInterfaceName(name)) return;
  const hint = /[/]|\.conf$/.test(name)
    ? `a file is brought up by: gigatun up ${name}`
    : 'gigatun --help lists the commands';
  throw new GigatunError(
    'CONFIG',
    `expected a command, or the name of an interface (${INTERFACE_NAME_RULE}), got ${JSON.stringify(name)}; ${hint}`,
  );
}

/** As wireguard-go has it: a log level that somebody asks for is for whoever starts it to read. */
function namesLogLevel(level: string | undefined): boolean {
  return !['', 'silent'].includes(level?.trim().toLowerCase() ?? '');
}

/** Options become settings of the environment; descriptors get the numbers that they have in the child. */
function passOn(
  options: DaemonOptions,
  { tunFd, uapiFd }: PassedDescriptors,
): { readonly env: Record<string, string>; readonly passedFds: number[] } {
  const { lanes, memory } = options;
  const passedFds = [tunFd, uapiFd].filter((fd) => fd !== null);
  const numberOf = (fd: number): string => `${FIRST_PASSED_FD + passedFds.indexOf(fd)}`;
  const env = {
    ...(lanes === undefined ? {} : { GIGATUN_LANES: `${lanes}` }),
    ...(isDropWanted(options) ? {} : { WG_SUDO: '1' }),
    ...(memory === undefined ? {} : { GIGATUN_MEMORY: `${memory / 1e6}` }),
    ...(tunFd === null ? {} : { [TUN_FD_VARIABLE]: numberOf(tunFd) }),
    ...(uapiFd === null ? {} : { [UAPI_FD_VARIABLE]: numberOf(uapiFd) }),
  };
  return { env, passedFds };
}

function readPassedDescriptors(): PassedDescriptors {
  return { tunFd: readDescriptor(TUN_FD_VARIABLE), uapiFd: readDescriptor(UAPI_FD_VARIABLE) };
}

function readDescriptor(variable: string): number | null {
  const text = process.env[variable] ?? '';
  if (text === '') return null;
  const fd = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  try {
    if (fd >= 0) fstatSync(fd);
    if (fd >= 0) return fd;
  } catch {
    // Said below.
  }
  throw new GigatunError(
    'CONFIG',
    `expected ${variable} to be the number of an open descriptor, got ${JSON.stringify(text)}`,
  );
}

/** An interface that was opened by the caller keeps its name, whatever the argument is; the kernel tells it (tun.c, fdinfo). */
function nameOfTun(fd: number): string {
  const name = /^iff:\s*(\S+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  if (name !== undefined && isInterfaceName(name)) return name;
  throw new GigatunError(
    'CONFIG',
    `expected ${TUN_FD_VARIABLE} to be a TUN interface, got descriptor ${fd}, which is none`,
  );
}
