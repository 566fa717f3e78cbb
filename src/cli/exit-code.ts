/** Exit codes of the program, one table: what scripts may rely on, and what `--help` prints. */
import { type ErrorCode, GigatunError } from '../errors.ts';

export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

const EXIT_OF_ERROR: Readonly<Record<ErrorCode, number>> = {
  CONFIG: EXIT_USAGE,
  PERMISSION: 3,
  NOT_FOUND: 4,
  BUSY: 5,
  UNSUPPORTED: 6,
  SYSTEM: EXIT_FAILURE,
  GONE: EXIT_FAILURE,
  PROTOCOL: EXIT_FAILURE,
  INTERNAL: EXIT_FAILURE,
};

/** Every exit code with its meaning. */
export const EXIT_MEANINGS: readonly { readonly code: number; readonly meaning: string }[] = [
  { code: EXIT_OK, meaning: 'done' },
  { code: EXIT_FAILURE, meaning: 'a system call, a program or the tunnel failed' },
  { code: EXIT_USAGE, meaning: 'the command line or the configuration is wrong' },
  { code: EXIT_OF_ERROR.PERMISSION, meaning: 'a permission is missing (mostly: not root)' },
  { code: EXIT_OF_ERROR.NOT_FOUND, meaning: 'no such interface, file or host' },
  { code: EXIT_OF_ERROR.BUSY, meaning: 'the interface name or port is taken' },
  { code: EXIT_OF_ERROR.UNSUPPORTED, meaning: 'the machine lacks something that is needed' },
];

/** The exit code that tells of an error. */
export function exitCodeOf(error: unknown): number {
  return error instanceof GigatunError ? EXIT_OF_ERROR[error.code] : EXIT_FAILURE;
}
