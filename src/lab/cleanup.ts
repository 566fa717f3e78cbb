/**
 * What must not outlive this process: actions registered here run once, newest first, when it exits, also by SIGINT, SIGTERM
 * and SIGHUP. They are synchronous, because an exiting process gets no further turn of the event loop.
 */

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const actions = new Set<() => void>();

/** Registers an action; returns a function that takes it back. An action that throws does not keep the others from running. */
export function onExit(action: () => void): () => void {
  if (actions.size === 0) listen();
  actions.add(action);
  return () => {
    actions.delete(action);
    if (actions.size === 0) ignore();
  };
}

function runAll(): void {
  const pending = [...actions].reverse();
  actions.clear();
  ignore();
  for (const action of pending) {
    try {
      action();
    } catch (error) {
      process.stderr.write(`clean-up: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

/** After the clean-up the signal is raised again without a listener, so that a shell sees what ended us. */
function runAllAndRaise(signal: NodeJS.Signals): void {
  runAll();
  process.kill(process.pid, signal);
}

function listen(): void {
  process.on('exit', runAll);
  for (const signal of SIGNALS) process.on(signal, runAllAndRaise);
}

function ignore(): void {
  process.off('exit', runAll);
  for (const signal of SIGNALS) process.off(signal, runAllAndRaise);
}
