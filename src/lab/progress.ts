/** Progress of timed phases: one bar that moves on a terminal, one plain line at start and end elsewhere. */

const REDRAW_MS = 100;
const BAR_LENGTH = 24;
const TITLE_LENGTH = 34;

/** Where progress goes: standard output, or anything that takes text. */
export interface Screen {
  write(text: string): unknown;
  /** true for a terminal, where lines may be redrawn. */
  readonly isTTY?: boolean;
}

/** One phase that is under way. */
export interface Phase {
  /** Ends the phase and leaves its title and result on the screen. */
  done(result: string): void;
}

/** Shows a phase that is expected to take `seconds`. */
export function showPhase(screen: Screen, title: string, seconds: number): Phase {
  const name = title.padEnd(TITLE_LENGTH);
  if (screen.isTTY !== true) {
    screen.write(`${title} …\n`);
    return { done: (result) => void screen.write(`${name} ${result}\n`) };
  }
  const startedMs = performance.now();
  const draw = () => screen.write(`\r\x1b[K${name} ${bar((performance.now() - startedMs) / 1_000, seconds)}`);
  const timer = setInterval(draw, REDRAW_MS);
  timer.unref();
  draw();
  return {
    done(result) {
      clearInterval(timer);
      screen.write(`\r\x1b[K${name} ${result}\n`);
    },
  };
}

/** Runs an action as a phase; `describe` makes the result line. When the action fails, the phase says so. */
export async function runPhase<T>(
  screen: Screen,
  title: string,
  seconds: number,
  action: () => Promise<T>,
  describe: (value: T) => string,
): Promise<T> {
  const phase = showPhase(screen, title, seconds);
  try {
    const value = await action();
    phase.done(describe(value));
    return value;
  } catch (error) {
    phase.done('failed');
    throw error;
  }
}

/** A bar with its times: full when `seconds` are over, and then waiting. */
export function bar(elapsedSeconds: number, seconds: number): string {
  const share = seconds > 0 ? Math.min(1, elapsedSeconds / seconds) : 1;
  const full = Math.round(share * BAR_LENGTH);
  return `${'█'.repeat(full)}${'░'.repeat(BAR_LENGTH - full)} ${elapsedSeconds.toFixed(1)} / ${seconds.toFixed(1)} s`;
}

/** '45 s', '12 min'. */
export function roughDuration(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
