/** From what somebody typed to a parsed configuration: finds the file, names the interface after it, reads it, warns about who else can. */
import { readFileSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { GigatunError } from '../errors.ts';
import { parseConfig } from './config-file.ts';
import type { TunnelConfig } from './config-types.ts';
import { INTERFACE_NAME_RULE, isInterfaceName } from './interface-name.ts';
import { codeOf } from './system-error.ts';

export interface LoadedConfig {
  /** Interface name: the file's name without `.conf`. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  readonly config: TunnelConfig;
  readonly warnings: readonly string[];
}

/** Where a bare name is looked for, in this order. */
export const CONFIG_DIRECTORIES: readonly string[] = ['/etc/gigatun', '/etc/wireguard'];

const EXTENSION = '.conf';
/** A million peers would fit. */
const FILE_LENGTH_MAX = 256 * 1024 * 1024;

/**
 * Loads the configuration that an argument means: a path if it holds a slash or ends in `.conf`, else the name of an
 * interface whose file lies in one of the directories.
 *
 * @throws GigatunError NOT_FOUND, PERMISSION, or CONFIG with every problem of the file.
 */
export function loadConfig(argument: string, directories: readonly string[] = CONFIG_DIRECTORIES): LoadedConfig {
  const path = isPath(argument) ? resolve(argument) : findByName(argument, directories);
  const name = interfaceNameOf(argument);
  const stats = attempt(argument, () => statSync(path));
  // Not a FIFO either: the background form reads the configuration twice.
  if (!stats.isFile())
    throw new GigatunError(
      'CONFIG',
      `expected a regular file, got ${path}, which is ${kindOf(stats)}; name a .conf file`,
    );
  if (stats.size > FILE_LENGTH_MAX)
    throw new GigatunError('CONFIG', `expected a configuration, got ${stats.size} bytes: ${path}`);
  const text = attempt(argument, () => readFileSync(path, 'utf8'));
  const { config, warnings } = parseConfig(text, isPath(argument) ? argument : path);
  return { name, path, config, warnings: [...accessWarnings(path, stats), ...warnings] };
}

/**
 * The interface that an argument of any command means: a name, or the path of a configuration file.
 *
 * @throws GigatunError CONFIG when it cannot be an interface name.
 */
export function interfaceNameOf(argument: string): string {
  // Not basename's own second argument: that leaves a file called just `.conf` as it is.
  const name = isPath(argument) ? basename(argument).slice(0, -EXTENSION.length) : argument;
  const extended = !isPath(argument) || argument.endsWith(EXTENSION);
  if (extended && isInterfaceName(name)) return name;
  throw new GigatunError(
    'CONFIG',
    `expected ${isPath(argument) ? `a file called NAME${EXTENSION}` : 'an interface name'} (NAME is ${INTERFACE_NAME_RULE}), ` +
      `got ${JSON.stringify(argument)}; rename the ${isPath(argument) ? 'file' : 'interface'}`,
  );
}

function isPath(argument: string): boolean {
  return argument.includes('/') || argument.endsWith(EXTENSION);
}

function findByName(name: string, directories: readonly string[]): string {
  interfaceNameOf(name);
  const paths = directories.map((directory) => join(directory, `${name}${EXTENSION}`));
  const found = paths.find((path) => statSync(path, { throwIfNoEntry: false }) !== undefined);
  if (found !== undefined) return found;
  const here =
    statSync(`${name}${EXTENSION}`, { throwIfNoEntry: false }) === undefined
      ? ''
      : `; did you mean ./${name}${EXTENSION}?`;
  throw new GigatunError('NOT_FOUND', `expected a configuration at ${paths.join(' or ')}, found none${here}`);
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  return stats.isFIFO() ? 'a FIFO' : 'a socket or a device';
}

function attempt<T>(argument: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const denied = codeOf(cause) === 'EACCES' || codeOf(cause) === 'EPERM';
    if (denied) throw new GigatunError('PERMISSION', `may not read ${argument}; try as root`, { cause });
    if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ENOTDIR') {
      throw new GigatunError('NOT_FOUND', `expected a configuration file, ${argument} does not exist`, { cause });
    }
    throw new GigatunError('SYSTEM', `could not read ${argument}: ${codeOf(cause) ?? cause}`, { cause });
  }
}

/** The file holds a private key, and its hooks run as whoever brings it up. Root may do all that anyway. */
function accessWarnings(path: string, stats: Stats): string[] {
  const warnings: string[] = [];
  const warn = (text: string): number => warnings.push(`${path}: warning: ${text}`);
  if ((stats.mode & 0o004) !== 0) warn('everybody may read the private key; chmod 600 it');
  else if ((stats.mode & 0o040) !== 0 && isForeign(stats.gid, process.getegid?.()))
    warn(`group ${stats.gid} may read the private key; chmod 600 it`);
  if ((stats.mode & 0o022) !== 0) warn('others may change this file; chmod 600 it');
  if (isForeign(stats.uid, process.geteuid?.())) warn(`user ${stats.uid} owns this file and may change it; chown it`);
  const directory = dirname(path);
  const { mode, uid } = statSync(directory);
  // Under the sticky bit only its owner may replace a file.
  if ((mode & 0o022) !== 0 && (mode & 0o1000) === 0) warn(`others may replace this file; chmod 755 ${directory}`);
  else if (isForeign(uid, process.geteuid?.()))
    warn(`user ${uid} owns ${directory} and may replace this file; move it`);
  return warnings;
}

function isForeign(id: number, own: number | undefined): boolean {
  return id !== 0 && id !== own;
}
