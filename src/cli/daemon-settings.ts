/** Settings of `gigatun daemon` from the environment: those that a file has behind `#gigatun:`, with the same values. */
import {
  readLanes,
  readMemory,
  readOffloads,
  readOnOff,
  readTxQueueLength,
  type ValueReader,
} from '../control/config-values.ts';
import { GigatunError } from '../errors.ts';
import type { OffloadName } from '../offloads/offload-name.ts';

export interface DaemonSettings {
  readonly lanes?: number;
  readonly memoryCapBytes?: number;
  readonly offloads?: readonly OffloadName[];
  readonly announces?: boolean;
  readonly txQueueLength?: number | null;
}

/**
 * Reads the settings.
 *
 * @throws GigatunError CONFIG that names the variable.
 */
export function readDaemonSettings(env: NodeJS.ProcessEnv): DaemonSettings {
  return {
    ...settingOf(env, 'GIGATUN_LANES', 'lanes', readLanes),
    ...settingOf(env, 'GIGATUN_MEMORY', 'memoryCapBytes', readMemory),
    ...settingOf(env, 'GIGATUN_OFFLOADS', 'offloads', readOffloads),
    ...settingOf(env, 'GIGATUN_ANNOUNCE', 'announces', readOnOff),
    ...settingOf(env, 'GIGATUN_TX_QUEUE_LENGTH', 'txQueueLength', readTxQueueLength),
  };
}

function settingOf<Key extends string, Value>(
  env: NodeJS.ProcessEnv,
  variable: string,
  key: Key,
  read: ValueReader<Value>,
): { [name in Key]?: Value } {
  const text = env[variable]?.trim() ?? '';
  if (text === '') return {};
  const reading = read(text);
  if (reading.ok) return { [key]: reading.value } as { [name in Key]: Value };
  const { expected, got, hint } = reading.complaint;
  throw new GigatunError('CONFIG', `${variable}: expected ${expected}, got ${got}; ${hint}`);
}
