/**
 * What the UAPI says when something went wrong: an errno of Linux and nothing else. The sentence that goes with it is in
 * the log. `wg` takes the number of a `set` negative, as wireguard-go sends it, and that of a `get` positive only.
 */
import { constants } from 'node:os';
import { type ErrorCode, GigatunError } from '../errors.ts';

const { EADDRINUSE, EINVAL, EIO, ENODEV, ENOMEM, EOPNOTSUPP, EPERM, EPROTO } = constants.errno;

/** What wireguard-go answers to everything that it has no number for. */
export const ERRNO_UNKNOWN = 55;

const ERRNO_OF_CODE: Readonly<Record<ErrorCode, number>> = {
  CONFIG: EINVAL,
  PERMISSION: EPERM,
  BUSY: EADDRINUSE,
  NOT_FOUND: ENODEV,
  UNSUPPORTED: EOPNOTSUPP,
  SYSTEM: EIO,
  GONE: ENODEV,
  PROTOCOL: EPROTO,
  INTERNAL: ERRNO_UNKNOWN,
};

/** The positive errno of anything thrown: the system's own where there is one, else by the error's code. */
export function errnoOf(error: unknown): number {
  if (!(error instanceof GigatunError)) return ERRNO_UNKNOWN;
  return error.errno !== undefined && error.errno > 0 ? error.errno : ERRNO_OF_CODE[error.code];
}

/** A value or a key that is not as the protocol has it: EINVAL. The text must hold no key material. */
export function invalid(message: string): GigatunError {
  return new GigatunError('CONFIG', message, { errno: EINVAL });
}

/** A line that is none: EPROTO. */
export function malformed(message: string): GigatunError {
  return new GigatunError('PROTOCOL', message, { errno: EPROTO });
}

/** A line longer than any that means something: EIO, as in wireguard-go. */
export function lineTooLong(bytesMax: number): GigatunError {
  return new GigatunError('PROTOCOL', `expected a line of at most ${bytesMax} bytes, got a longer one`, { errno: EIO });
}

/** A request that would take more memory than requests may: ENOMEM. */
export function requestTooLong(linesMax: number): GigatunError {
  const expected = `expected requests of at most ${linesMax} lines in all`;
  return new GigatunError('CONFIG', `${expected}, got more; send the peers in several requests`, { errno: ENOMEM });
}
