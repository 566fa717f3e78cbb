/**
 * How a starting tunnel tells of itself: in the foreground a person reads stderr; in the background the waiting parent
 * reads JSON lines from a pipe, until `ready` or `error`.
 */
import { closeSync, writeSync } from 'node:fs';
import { asRecord, errorCodeOf } from '../control/control-protocol.ts';
import { asGigatunError } from '../control/system-error.ts';
import { GigatunError } from '../errors.ts';
import { say } from './print.ts';

/** Number of the pipe's descriptor in the child. */
export const READY_FD = 3;
/** Tells the child that it has the pipe. */
export const READY_FD_VARIABLE = 'GIGATUN_READY_FD';

export type StartMessage =
  | { readonly kind: 'report'; readonly text: string }
  | { readonly kind: 'ready' }
  | { readonly kind: 'error'; readonly error: GigatunError };

export interface StartChannel {
  /** Whether a parent is waiting. */
  readonly background: boolean;
  report(text: string): void;
  ready(): void;
  /** Returns whether the parent took it and will say it. */
  fail(error: unknown): boolean;
}

/** The channel of this process. Forgets the variable, so that commands of hooks do not inherit it. */
export function openStartChannel(): StartChannel {
  const background = process.env[READY_FD_VARIABLE] === String(READY_FD);
  delete process.env[READY_FD_VARIABLE];
  return background ? pipeChannel() : { background, report: say, ready: () => {}, fail: () => false };
}

function pipeChannel(): StartChannel {
  let open = true;
  const send = (message: object): boolean => {
    if (!open) return false;
    try {
      writeSync(READY_FD, `${JSON.stringify(message)}\n`);
      return true;
    } catch {
      // The parent was killed; the tunnel goes on without it.
      return false;
    }
  };
  const finish = (message: object): boolean => {
    const sent = send(message);
    if (open) closeSync(READY_FD);
    open = false;
    return sent;
  };
  return {
    background: true,
    report: (text) => {
      send({ kind: 'report', text });
    },
    ready: () => {
      finish({ kind: 'ready' });
    },
    fail: (error) => {
      const { code, message } = asGigatunError(error, 'start');
      return finish({ kind: 'error', code, message });
    },
  };
}

/** Reads one line of the pipe; null when it is none of ours. */
export function parseStartMessage(line: string): StartMessage | null {
  const { kind, text, code, message } = asRecord(JSON.parse(line));
  if (kind === 'ready') return { kind };
  if (kind === 'report' && typeof text === 'string') return { kind, text };
  if (kind !== 'error' || typeof message !== 'string') return null;
  return { kind, error: new GigatunError(errorCodeOf(code), message) };
}
