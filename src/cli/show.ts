/** `gigatun show`: asks the running gigatuns how they are. */
import { interfaceNameOf } from '../control/config-load.ts';
import { callControl, runningNames } from '../control/control-client.ts';
import { runDirectory } from '../control/run-directory.ts';
import { readStatus } from '../control/status-reader.ts';
import type { DeviceStatus } from '../device-types.ts';
import { GigatunError } from '../errors.ts';
import { EXIT_OK } from './exit-code.ts';
import { formatShow } from './format-show.ts';
import { print, printJson, say } from './print.ts';

/** @param argument interface name or path of its file; null for all that run. */
export async function show(argument: string | null, json: boolean): Promise<number> {
  const directory = runDirectory();
  if (argument !== null) {
    const status = await statusOf(directory, interfaceNameOf(argument));
    if (json) printJson(status);
    else print(formatShow(status, Date.now()));
    return EXIT_OK;
  }
  const statuses = await allStatuses(directory);
  if (json) printJson(statuses);
  else if (statuses.length === 0) say('gigatun: no interface is up');
  else print(statuses.map((status) => formatShow(status, Date.now())).join('\n'));
  return EXIT_OK;
}

async function statusOf(directory: string, name: string): Promise<DeviceStatus> {
  return readStatus(await callControl(directory, name, 'status'));
}

/** One that ends while it is asked is left out. */
async function allStatuses(directory: string): Promise<DeviceStatus[]> {
  const statuses: DeviceStatus[] = [];
  for (const name of await runningNames(directory)) {
    try {
      statuses.push(await statusOf(directory, name));
    } catch (error) {
      const passing = error instanceof GigatunError && ['GONE', 'NOT_FOUND', 'BUSY'].includes(error.code);
      if (!passing) throw error;
    }
  }
  return statuses;
}
