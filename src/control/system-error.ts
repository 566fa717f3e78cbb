/** Reads what Node puts on the errors of system calls, and turns them into the one error class. */
import { type ErrorCode, GigatunError } from '../errors.ts';

interface SystemErrorFields {
  readonly code?: unknown;
  readonly errno?: unknown;
  readonly syscall?: unknown;
}

/** The `code` of a system error, such as `ENOENT`; null when it is none. */
export function codeOf(error: unknown): string | null {
  const code = fieldsOf(error).code;
  return typeof code === 'string' ? code : null;
}

/** What an unknown thrown thing says, on one line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const CODES: ReadonlyMap<string | null, ErrorCode> = new Map([
  ['EACCES', 'PERMISSION'],
  ['EPERM', 'PERMISSION'],
  ['EROFS', 'PERMISSION'],
  ['EADDRINUSE', 'BUSY'],
  ['EBUSY', 'BUSY'],
  ['ENOENT', 'NOT_FOUND'],
]);

/**
 * Wraps anything thrown as a GigatunError; one that already is stays as it is.
 *
 * @param doing what was attempted, such as `create /run/gigatun`.
 */
export function asGigatunError(error: unknown, doing: string): GigatunError {
  if (error instanceof GigatunError) return error;
  const { errno, syscall } = fieldsOf(error);
  const code = codeOf(error);
  const details = {
    cause: error,
    ...(typeof errno === 'number' ? { errno: Math.abs(errno) } : {}),
    ...(typeof syscall === 'string' ? { syscall } : {}),
  };
  return new GigatunError(CODES.get(code) ?? 'SYSTEM', `could not ${doing}: ${messageOf(error)}`, details);
}

function fieldsOf(error: unknown): SystemErrorFields {
  return error instanceof Error ? (error as SystemErrorFields) : {};
}
