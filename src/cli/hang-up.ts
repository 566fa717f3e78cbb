/**
 * What SIGHUP means. To a process with a terminal it says that the terminal has gone, and the tunnel ends with it. To one
 * without, in the background or under a service manager, it says what it says to every daemon: read your file again.
 */
import { closeSync, openSync } from 'node:fs';

export interface HangUp {
  /** From now on reloads are possible; one that was asked for during the start comes at once. */
  ready(reload: () => Promise<void>): void;
}

/**
 * Listens for SIGHUP.
 *
 * @param end what to do where it means an end.
 */
export function onHangUp(end: (signal: NodeJS.Signals) => void): HangUp {
  if (hasTerminal()) {
    process.on('SIGHUP', end);
    return { ready: () => {} };
  }
  return reloadOnHangUp();
}

/** Signals that come during a reload are one more reload behind it. */
function reloadOnHangUp(): HangUp {
  let reload: (() => Promise<void>) | null = null;
  let isAsked = false;
  let isUnderWay = false;
  const go = async (): Promise<void> => {
    if (reload === null || isUnderWay) return;
    isUnderWay = true;
    while (isAsked) {
      isAsked = false;
      await reload();
    }
    isUnderWay = false;
  };
  process.on('SIGHUP', () => {
    isAsked = true;
    void go();
  });
  return {
    ready: (action) => {
      reload = action;
      void go();
    },
  };
}

/** Whether this process has a controlling terminal (tty(4): /dev/tty opens for no other). */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
