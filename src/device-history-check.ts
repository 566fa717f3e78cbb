/**
 * Checks what a change of a device says of sending more than once: each value, for programs may say anything, and what the
 * settings of all peers ask for together, of memory and of lanes.
 */
import { isInterfaceName } from './control/interface-name.ts';
import { parseAddress } from './control/ip-text.ts';
import { oneLaneError } from './control/tunnel-settings.ts';
import { endpointOf } from './endpoint-text.ts';
import { GigatunError } from './errors.ts';
import {
  COPIES_MAX,
  type CopySettings,
  DELAY_MS_MAX,
  FEC_DATA_MAX,
  FEC_PARITY_MAX,
  type FecSettings,
  HISTORIES_BYTES_MAX,
  type HistorySettings,
  historyBytesOf,
  needsOneLane,
  RING_BYTES_MAX,
  RING_BYTES_MIN,
  WAIT_MS_MAX,
} from './history/settings.ts';
import { PATH_MODES, PATHS_MAX, type PathSettings, WEIGHT_MAX } from './path/path-types.ts';

const DSCP_MAX = 63;
const PORT_MAX = 65_535;

/** @throws GigatunError CONFIG for a value out of range, NOT_FOUND for an endpoint on an interface that is not there */
export function checkHistory(settings: HistorySettings): void {
  const { copies, retransmitMs, retransmitBudget, inOrder, holdMs, fec, ringBytes, paths, pathMode } = settings;
  checkCopies(copies);
  checkRange(retransmitMs, 0, WAIT_MS_MAX, 'ms of retransmission');
  checkRange(retransmitBudget, 0, 1, 'a budget of repeats, as a share,');
  checkOneOf(inOrder, ['off', 'tcp', 'all'], 'order');
  if (holdMs !== null) checkRange(holdMs, 0, WAIT_MS_MAX, 'ms of hold time');
  checkFec(fec);
  checkInteger(ringBytes, RING_BYTES_MIN, RING_BYTES_MAX, 'bytes of history');
  checkOneOf(pathMode, [...PATH_MODES, null], 'path mode');
  checkInteger(paths.length, 0, PATHS_MAX, 'paths');
  for (const path of paths) checkPath(path);
  if (new Set(paths.map(({ name }) => name)).size < paths.length)
    throw new GigatunError('CONFIG', 'expected a name of its own for each path, got one twice');
}

/**
 * Checks what the settings of all peers come to: there must be room for all that is asked for, for a lane goes without the rest.
 *
 * @param settings of all peers that have any
 * @throws GigatunError CONFIG when they need too much memory together, or one lane is needed and there are more
 */
export function checkHistories(settings: readonly HistorySettings[], lanes: number): void {
  if (lanes > 1 && settings.some(needsOneLane)) throw oneLaneError(lanes);
  const bytes = historyBytesOf(settings);
  if (bytes <= HISTORIES_BYTES_MAX) return;
  const [most, got] = [HISTORIES_BYTES_MAX, bytes].map((one) => `${Math.ceil(one / 1_048_576)} MiB`);
  throw new GigatunError(
    'CONFIG',
    `expected at most ${most} for the histories of all peers, got ${got}; set History to less, or fewer peers to it`,
  );
}

function checkCopies({ count, delayMs, only, when, budget }: CopySettings): void {
  checkInteger(count, 1, COPIES_MAX, 'copies in all');
  checkRange(delayMs, 0, DELAY_MS_MAX, 'ms between copies');
  checkOneOf(when, ['always', 'loss'], 'time for copies');
  checkRange(budget, 0, COPIES_MAX - 1, 'a budget of copies, as a share,');
  for (const dscp of only?.dscps ?? []) checkInteger(dscp, 0, DSCP_MAX, 'a DSCP');
}

function checkFec({ mode, data, parity, delayMs }: FecSettings): void {
  checkOneOf(mode, ['off', 'on', 'auto'], 'mode of forward error correction');
  checkInteger(data, 1, FEC_DATA_MAX, 'datagrams in a block');
  checkInteger(parity, 1, FEC_PARITY_MAX, 'parities of a block');
  checkRange(delayMs, 0, DELAY_MS_MAX, 'ms until a block is closed');
}

function checkPath({ name, localAddress, localInterface, endpoint, weight }: PathSettings): void {
  if (!/^[a-zA-Z0-9_.-]{1,15}$/.test(name))
    throw new GigatunError('CONFIG', `expected a path's name of 1 to 15 letters, digits, - _ or ., got '${name}'`);
  checkRange(weight, 1, WEIGHT_MAX, 'a weight');
  const local = localAddress === null ? null : parseAddress(localAddress);
  if (localAddress !== null && local === null)
    throw new GigatunError('CONFIG', `expected a numeric local address for path ${name}, got '${localAddress}'`);
  if (localInterface !== null && !isInterfaceName(localInterface))
    throw new GigatunError('CONFIG', `expected an interface for path ${name}, got '${localInterface}'`);
  if (endpoint === null) return;
  checkInteger(endpoint.port, 1, PORT_MAX, "an endpoint's port");
  const { family } = endpointOf(endpoint);
  if (local === null || local.length === (family === 4 ? 4 : 16)) return;
  throw new GigatunError(
    'CONFIG',
    `expected local address and endpoint of path ${name} to be of one IP version, got ${localAddress} and ${endpoint.address}`,
  );
}

function checkOneOf(value: unknown, known: readonly unknown[], what: string): void {
  if (!known.includes(value))
    throw new GigatunError(
      'CONFIG',
      `expected ${what} ${known.filter((one) => one !== null).join(', ')}, got '${value}'`,
    );
}

function checkInteger(value: number, least: number, most: number, what: string): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new GigatunError('CONFIG', `expected ${what} from ${least} to ${most}, got ${value}`);
}

function checkRange(value: number, least: number, most: number, what: string): void {
  if (value >= least && value <= most) return;
  throw new GigatunError('CONFIG', `expected ${what} from ${least} to ${most}, got ${value}`);
}
