/** The one error class of gigatun: a closed code, what was expected, what came and what to do, and the system's own words. */

/** Closed list of failure codes; stable, for scripts and exit codes. */
export type ErrorCode =
  | 'CONFIG' // the configuration or an argument is wrong
  | 'PERMISSION' // a capability or device permission is missing
  | 'BUSY' // name, port or socket is taken
  | 'NOT_FOUND' // no such interface, file or peer
  | 'UNSUPPORTED' // this kernel or machine lacks something needed
  | 'SYSTEM' // a system call or a program failed otherwise
  | 'GONE' // the interface or a lane ended while in use
  | 'PROTOCOL' // the other end of a control socket did not speak as expected
  | 'INTERNAL'; // a broken program: please report

const ERROR_CODES: Readonly<Record<ErrorCode, true>> = {
  CONFIG: true,
  PERMISSION: true,
  BUSY: true,
  NOT_FOUND: true,
  UNSUPPORTED: true,
  SYSTEM: true,
  GONE: true,
  PROTOCOL: true,
  INTERNAL: true,
};

/** Whether a value that came from another thread or process is one of the codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_CODES, value);
}

export interface ErrorDetails {
  readonly cause?: unknown;
  /** Name of the failed system call. */
  readonly syscall?: string;
  /** Positive errno of the failed system call. */
  readonly errno?: number;
}

export class GigatunError extends Error {
  readonly code: ErrorCode;
  readonly syscall: string | undefined;
  readonly errno: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'GigatunError';
    this.code = code;
    this.syscall = details.syscall;
    this.errno = details.errno;
  }
}
