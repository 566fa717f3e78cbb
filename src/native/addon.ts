/**
 * The only loader of the addon. Verbs of the hot path are the addon's own functions; those that open something turn
 * system errors into GigatunError. Throws GigatunError UNSUPPORTED on import when no build of the addon fits.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, GigatunError } from '../errors.ts';
import type { Addon, LaneOpened, LaneOptions, TunOpened, TunOptions, UdpOpened, UdpOptions } from './types.ts';

const addon = load();

export const linkInfo: Addon['linkInfo'] = addon.linkInfo;
export const closeLane: Addon['closeLane'] = addon.closeLane;
export const wake: Addon['wake'] = addon.wake;
export const wait: Addon['wait'] = addon.wait;
export const readTun: Addon['readTun'] = addon.readTun;
export const writeTun: Addon['writeTun'] = addon.writeTun;
export const receiveUdp: Addon['receiveUdp'] = addon.receiveUdp;
export const sendUdp: Addon['sendUdp'] = addon.sendUdp;
export const seal: Addon['seal'] = addon.seal;
export const unseal: Addon['unseal'] = addon.unseal;
export const accumulate: Addon['accumulate'] = addon.accumulate;
export const checkMacs: Addon['checkMacs'] = addon.checkMacs;
export const sealCookies: Addon['sealCookies'] = addon.sealCookies;
export const setKey: Addon['setKey'] = addon.setKey;
export const book: Addon['book'] = addon.book;
export const threadUsage: Addon['threadUsage'] = addon.threadUsage;
export const harden: Addon['harden'] = addon.harden;

/**
 * Opens or adopts a TUN. Throws GigatunError: PERMISSION, BUSY, UNSUPPORTED (no /dev/net/tun) or SYSTEM; CONFIG for a
 * descriptor that cannot be adopted.
 */
export function openTun(options: TunOptions): TunOpened {
  const { fd, name } = options;
  if (fd === undefined) return opening(`the TUN interface '${name}'`, () => addon.openTun(options));
  try {
    return addon.openTun(options);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const why = NOT_ADOPTED[error.code] ?? `one that does not take its settings (${error.message})`;
    const message = `expected descriptor ${fd} to be a TUN with virtio headers, got ${why}; ${ADOPTED}`;
    throw new GigatunError('CONFIG', message, { cause: error, syscall: error.syscall, errno: error.errno });
  }
}

const ADOPTED = 'open /dev/net/tun, then TUNSETIFF with IFF_TUN | IFF_NO_PI | IFF_VNET_HDR';
const NOT_ADOPTED: Readonly<Record<string, string>> = {
  ENOTTY: 'another kind of file, or none',
  EBADF: 'none that is open',
  EBADFD: 'one without an interface, or whose interface was deleted',
  EINVAL: 'one without IFF_NO_PI or IFF_VNET_HDR, or a TAP',
};

/** Opens a UDP socket. Throws GigatunError: BUSY (port taken), PERMISSION (fwmark), UNSUPPORTED (no IPv6) or SYSTEM. */
export function openUdp(options: UdpOptions): UdpOpened {
  return opening(`the IPv${options.family} UDP socket on port ${options.port}`, () => addon.openUdp(options));
}

/** Opens a lane. Throws GigatunError UNSUPPORTED when this machine lacks the AEAD back end asked for. */
export function openLane(options: LaneOptions): LaneOpened {
  return opening(`a lane with AEAD back end '${options.aead}'`, () => addon.openLane(options));
}

interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'syscall' in error && 'errno' in error;
}

const CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  EPERM: ['PERMISSION', 'run it as root or with CAP_NET_ADMIN'],
  EACCES: ['PERMISSION', 'run it as root or with CAP_NET_ADMIN; a port below 1024 needs CAP_NET_BIND_SERVICE too'],
  EBUSY: ['BUSY', 'another program holds it, or it was made without multi-queue'],
  EADDRINUSE: ['BUSY', 'choose another port or stop the program that holds it'],
  ENOENT: ['UNSUPPORTED', 'load the kernel module tun, or give this container /dev/net/tun'],
  ENODEV: ['UNSUPPORTED', 'load the kernel module tun'],
  EAFNOSUPPORT: ['UNSUPPORTED', 'this kernel has the address family switched off'],
  ENOTSUP: ['UNSUPPORTED', 'this machine lacks it; use the back end openssl'],
};

function opening<Result>(what: string, open: () => Result): Result {
  try {
    return open();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const [code, advice] = CODES[error.code] ?? ['SYSTEM' as const, 'see the cause'];
    const message = `cannot open ${what}: ${error.message} (${advice})`;
    throw new GigatunError(code, message, { cause: error, syscall: error.syscall, errno: error.errno });
  }
}

function load(): Addon {
  const require = createRequire(import.meta.url);
  try {
    const loadBuild = require('node-gyp-build') as (root: string) => Addon;
    return loadBuild(fileURLToPath(new URL('../..', import.meta.url)));
  } catch (cause) {
    const message = `no native addon for ${process.platform}-${process.arch}, Node ${process.version}: build it with "npm run build:native"`;
    throw new GigatunError('UNSUPPORTED', message, { cause });
  }
}
