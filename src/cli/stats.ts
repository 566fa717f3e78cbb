/** `gigatun stats`: the ledger of a running tunnel, once, or again and again with the figures of each interval. */
import { setTimeout as delay } from 'node:timers/promises';
import { interfaceNameOf } from '../control/config-load.ts';
import { ControlClient } from '../control/control-client.ts';
import { runDirectory } from '../control/run-directory.ts';
import { readSnapshot } from '../control/status-reader.ts';
import { formatStats, statsJson } from '../ledger/report.ts';
import { type DeviceSnapshot, difference } from '../ledger/snapshot.ts';
import { EXIT_OK } from './exit-code.ts';
import { print, printJson } from './print.ts';

export interface StatsCommandOptions {
  readonly json: boolean;
  /** Print each lane before the total even if there is only one. */
  readonly perLane: boolean;
  /** Length of an interval, or null to print once. */
  readonly watchSeconds: number | null;
}

const CLEAR_SCREEN = '\u001b[H\u001b[2J\u001b[3J';

export async function stats(argument: string, options: StatsCommandOptions): Promise<number> {
  const client = await ControlClient.connect(runDirectory(), interfaceNameOf(argument));
  try {
    const snapshot = readSnapshot(await client.call('stats'));
    if (options.watchSeconds === null) printOnce(snapshot, options);
    else await watch(client, snapshot, options.watchSeconds * 1_000, options);
  } finally {
    client.close();
  }
  return EXIT_OK;
}

function printOnce(snapshot: DeviceSnapshot, options: StatsCommandOptions): void {
  if (options.json) printJson(statsJson(snapshot));
  else print(formatStats(snapshot, { perLane: options.perLane || hasSeveralLanes(snapshot) }));
}

/** Until the reader interrupts, or the tunnel ends: then the GONE of the last call is the end. */
async function watch(
  client: ControlClient,
  first: DeviceSnapshot,
  intervalMs: number,
  options: StatsCommandOptions,
): Promise<never> {
  for (let earlier = first; ; ) {
    await delay(intervalMs);
    const later = readSnapshot(await client.call('stats'));
    printInterval(difference(later, earlier), options);
    earlier = later;
  }
}

function printInterval(rates: DeviceSnapshot, options: StatsCommandOptions): void {
  if (options.json) {
    print(`${JSON.stringify(statsJson(rates))}\n`);
    return;
  }
  const text = formatStats(rates, { rates, perLane: options.perLane || hasSeveralLanes(rates) });
  print(process.stdout.isTTY ? `${CLEAR_SCREEN}${text}` : `${text}\n`);
}

/** The control lane books no time and is not counted. */
function hasSeveralLanes({ lanes }: DeviceSnapshot): boolean {
  return lanes.filter(({ wallNs }) => wallNs > 0).length > 1;
}
