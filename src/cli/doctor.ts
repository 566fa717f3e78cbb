/** `gigatun doctor`: what this machine and its tunnels give, what limits them, and what to change. */
import { interfaceNameOf } from '../control/config-load.ts';
import { runDirectory } from '../control/run-directory.ts';
import { type Diagnosis, examine } from '../doctor/doctor.ts';
import { diagnosisJson, formatDiagnosis } from '../doctor/report.ts';
import { EXIT_FAILURE, EXIT_OK } from './exit-code.ts';
import { print, printJson } from './print.ts';
import { packageVersion } from './version.ts';

/** Width where standard output is no terminal. */
const WIDTH = 120;

/**
 * @param argument interface name or path of its file; null for the machine and all tunnels that run.
 * @param watchSeconds how long cores and tunnels are watched.
 */
export async function doctor(argument: string | null, watchSeconds: number, json: boolean): Promise<number> {
  const diagnosis = await examine({
    interface: argument === null ? null : interfaceNameOf(argument),
    directory: runDirectory(),
    watchMs: watchSeconds * 1_000,
    aead: process.env.GIGATUN_AEAD ?? '',
  });
  if (json) printJson(diagnosisJson(diagnosis, packageVersion()));
  else print(formatDiagnosis(diagnosis, process.stdout.columns ?? WIDTH));
  return exitCodeOfDiagnosis(diagnosis);
}

/** Warnings cost throughput, but a tunnel runs: scripts that care look at `status` in the JSON. */
export function exitCodeOfDiagnosis({ status }: Pick<Diagnosis, 'status'>): number {
  return status === 'fail' ? EXIT_FAILURE : EXIT_OK;
}
