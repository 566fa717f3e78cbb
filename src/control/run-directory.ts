/**
 * The directory of running tunnels, /run/gigatun: per interface a control socket, a journal of what to undo, and a log.
 * Only its owner may enter it, which is what guards the control sockets.
 */
import { lstatSync, mkdirSync, readdirSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { GigatunError } from '../errors.ts';
import { isInterfaceName } from './interface-name.ts';
import { asGigatunError, codeOf } from './system-error.ts';

const DEFAULT_DIRECTORY = '/run/gigatun';
const SOCKET_EXTENSION = '.sock';

const OWNER_ONLY = 0o700;
/** The group's and everybody's bits of a mode. */
const OTHERS = 0o077;

/** Longest path of a UNIX socket on Linux, bytes without the final zero (unix(7)). */
export const SOCKET_PATH_LENGTH_MAX = 107;

/** The directory in use: GIGATUN_RUN_DIR, else /run/gigatun. */
export function runDirectory(): string {
  const wanted = process.env.GIGATUN_RUN_DIR;
  return wanted === undefined || wanted === '' ? DEFAULT_DIRECTORY : wanted;
}

export function socketPath(directory: string, name: string): string {
  return join(directory, `${name}${SOCKET_EXTENSION}`);
}

/** The control socket of a tunnel that is not ready yet: whoever sees `socketPath` may use it at once. */
export function startingSocketPath(directory: string, name: string): string {
  return join(directory, `${name}.starting`);
}

export function journalPath(directory: string, name: string): string {
  return join(directory, `${name}.undo`);
}

export function logPath(directory: string, name: string): string {
  return join(directory, `${name}.log`);
}

/**
 * Makes the directory, for its owner only, if it is missing. One that is there stays as it is: it may be anybody's.
 *
 * @throws GigatunError PERMISSION when it may not be made, belongs to somebody else, or is open to others.
 */
export function prepareRunDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: OWNER_ONLY });
    checkAccess(directory, lstatSync(directory));
  } catch (error) {
    const wrapped = asGigatunError(error, `prepare ${directory}`);
    if (wrapped.code !== 'PERMISSION' || wrapped === error) throw wrapped;
    throw new GigatunError('PERMISSION', `${wrapped.message}; run as root, or set GIGATUN_RUN_DIR`, { cause: error });
  }
}

function checkAccess(directory: string, stats: Stats): void {
  if (!stats.isDirectory() || stats.uid !== process.getuid?.()) {
    throw new GigatunError(
      'PERMISSION',
      `expected a directory of this user, got ${directory}; set GIGATUN_RUN_DIR to another`,
    );
  }
  if ((stats.mode & OTHERS) === 0) return;
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  throw new GigatunError(
    'PERMISSION',
    `expected a directory that only its owner may enter (mode 0700), got ${directory} with mode ${mode}; ` +
      'set GIGATUN_RUN_DIR to one for gigatun alone, such as one that does not exist yet',
  );
}

/**
 * Names of the interfaces that have a control socket, alive or stale, sorted.
 *
 * @throws GigatunError PERMISSION when the directory may not be read; a missing one has no interfaces.
 */
export function socketNames(directory: string): string[] {
  try {
    const files = readdirSync(directory).filter((file) => file.endsWith(SOCKET_EXTENSION));
    return files
      .map((file) => file.slice(0, -SOCKET_EXTENSION.length))
      .filter(isInterfaceName)
      .sort();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw asGigatunError(error, `read ${directory}`);
  }
}
