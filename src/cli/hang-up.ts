/**
 * What SIGHUP means. To a process with a terminal it says that the terminal has gone, and the tunnel ends with it. To one
 * without, in the background or under a service manager, it says what it says to every daemon: read your file again. Where
 * there is no file, it asks for an end, as it does of wireguard-go.
 */
import { closeSync, openSync } from 'node:fs';

/** Never rejects. */
export type Reload = () => Promise<void> | undefined;

export interface HangUp {
  /**
   * The start is over. A signal that came meanwhile counts now.
   *
   * @param reload null where there is no file to read again.
   */
  ready(reload: Reload | null): void;
}

/**
 * Listens for SIGHUP.
 *
 * @param end what to do where it asks for an end.
 * @param hasTerminal whether it does in any case; the process's own state unless a test says otherwise.
 */
export function onHangUp(
  end: (signal: NodeJS.Signals) => void,
  hasTerminal: boolean = hasControllingTerminal(),
): HangUp {
  if (hasTerminal) {
    process.on('SIGHUP', end);
    return { ready: () => {} };
  }
  let action: (() => void) | null = null;
  let isAsked = false;
  process.on('SIGHUP', () => {
    if (action === null) isAsked = true;
    else action();
  });
  return {
    ready: (reload) => {
      action = reload === null ? () => end('SIGHUP') : oneByOne(reload);
      if (isAsked) action();
    },
  };
}

/** What is asked for during a reload, however often, is one more behind it. */
function oneByOne(reload: Reload): () => void {
  let isAsked = false;
  let isUnderWay = false;
  return () => {
    isAsked = true;
    if (!isUnderWay) void go();
  };
  async function go(): Promise<void> {
    isUnderWay = true;
    while (isAsked) {
      isAsked = false;
      await reload();
    }
    isUnderWay = false;
  }
}

/** tty(4): /dev/tty opens for a process with a controlling terminal, and for no other. */
function hasControllingTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}
