/** `gigatun bench`: what gigatun does on this machine, beside other tunnels, without each offload, or stage by stage, explained. */

import { runUserBench } from '../lab/bench/run.ts';
import { onExit } from '../lab/cleanup.ts';

/** Runs a bench from its arguments, which it reads itself. Returns the exit code: 1 when a run failed or a byte was wrong. */
export async function bench(args: readonly string[]): Promise<number> {
  const said = () => process.stderr.write('\nInterrupted. Namespaces, interfaces and programs are gone.\n');
  const takeBack = onExit(said);
  try {
    return await runUserBench(args, process.stdout, process.stderr);
  } finally {
    takeBack();
  }
}
