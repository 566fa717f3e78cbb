/** `gigatun reload`: asks the gigatun of an interface to apply its file as it is now, and shows what differed. */
import { interfaceNameOf } from '../control/config-load.ts';
import { ControlClient } from '../control/control-client.ts';
import { type ReloadReport, readReloadReport } from '../control/reload-report.ts';
import { runDirectory } from '../control/run-directory.ts';
import { EXIT_OK } from './exit-code.ts';
import { print, printJson, say } from './print.ts';

export interface ReloadOptions {
  /** Only show what would change. */
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** Names may have to be looked up, and tens of thousands of routes added. */
const RELOAD_LIMIT_MS = 110_000;

/** @param argument interface name or path of its file. */
export async function reload(argument: string, { dryRun, json }: ReloadOptions): Promise<number> {
  const client = await ControlClient.connect(runDirectory(), interfaceNameOf(argument));
  try {
    const report = readReloadReport(await client.call(dryRun ? 'difference' : 'reload', RELOAD_LIMIT_MS));
    if (json) printJson(report);
    else printReport(report);
  } finally {
    client.close();
  }
  return EXIT_OK;
}

function printReport(report: ReloadReport): void {
  const { changes, changesCount, warnings, needsRestart, interface: name } = report;
  for (const warning of warnings) say(warning);
  print(changes.map(({ sign, text }) => `${sign} ${text}\n`).join(''));
  if (changesCount > changes.length) say(`gigatun: and ${changesCount - changes.length} more`);
  for (const text of needsRestart)
    say(`gigatun: needs a restart: ${text} (gigatun down ${name}, then gigatun up); all else counts`);
  say(`gigatun: ${name} ${outcomeOf(report)}`);
}

function outcomeOf({ changesCount, dryRun }: ReloadReport): string {
  if (changesCount === 0) return 'is as its file has it: nothing to change';
  const changes = changesCount === 1 ? '1 change' : `${changesCount} changes`;
  return dryRun ? `would be reloaded with ${changes}; nothing is done` : `is reloaded: ${changes}`;
}
