/**
 * What ended a lane, as the control lane tells it. An error that crosses from one thread to another arrives as a plain
 * Error that kept its properties: one that was a GigatunError is made one again, anything else is a broken program.
 */
import { type ErrorCode, GigatunError, isErrorCode } from './errors.ts';

interface SentError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly syscall?: string;
  readonly errno?: number;
}

/** The error of lane `index` from what its worker's `error` event brought. */
export function laneError(index: number, thrown: unknown): GigatunError {
  if (!wasGigatunError(thrown))
    return new GigatunError('INTERNAL', `lane ${index} failed: ${String(thrown)}`, { cause: thrown });
  const { code, message, syscall, errno } = thrown;
  const system = { ...(syscall === undefined ? {} : { syscall }), ...(errno === undefined ? {} : { errno }) };
  return new GigatunError(code, message, { cause: thrown, ...system });
}

function wasGigatunError(thrown: unknown): thrown is SentError {
  return thrown instanceof Error && thrown.name === 'GigatunError' && 'code' in thrown && isErrorCode(thrown.code);
}
