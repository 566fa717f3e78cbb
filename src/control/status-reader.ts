/** Checks what came over a control socket before it is used: the other end may be of another version, or not gigatun. */
import type { DeviceStatus, PeerStatus } from '../device-types.ts';
import { GigatunError } from '../errors.ts';
import { ACTIVITIES, COUNTERS } from '../ledger/catalog.ts';
import type { DeviceSnapshot, LaneSnapshot } from '../ledger/snapshot.ts';
import { DROP_REASONS } from '../packet/drop-reason.ts';
import { asRecord } from './control-protocol.ts';
import { isHistory } from './history-reader.ts';
import { hasNumbers, hasTexts, isCounts, isNumberOrNull, isTextOrNull, isTexts } from './value-checks.ts';

/** @throws GigatunError PROTOCOL when the value is no status. */
export function readStatus(value: unknown): DeviceStatus {
  if (isStatus(value)) return value;
  throw mismatch('a status');
}

/** @throws GigatunError PROTOCOL when the value is no snapshot of this version's catalog. */
export function readSnapshot(value: unknown): DeviceSnapshot {
  if (isSnapshot(value)) return value;
  throw mismatch('the figures');
}

function mismatch(what: string): GigatunError {
  const hint = 'bring the interface down and up again after an update';
  return new GigatunError('PROTOCOL', `expected ${what} of this version of gigatun, got something else; ${hint}`);
}

function isStatus(value: unknown): value is DeviceStatus {
  const fields = asRecord(value);
  return (
    hasNumbers(fields, ['listenPort', 'fwmark', 'mtu', 'lanes', 'pid', 'rssBytes', 'memoryCrossingsCount']) &&
    hasTexts(fields, ['interface', 'aead']) &&
    isTextOrNull(fields.publicKey) &&
    isNumberOrNull(fields.memoryCapBytes) &&
    typeof fields.up === 'boolean' &&
    isTexts(fields.offloads) &&
    Array.isArray(fields.heldOffloads) &&
    fields.heldOffloads.every(isHeld) &&
    Array.isArray(fields.peers) &&
    fields.peers.every(isPeer)
  );
}

function isHeld(value: unknown): boolean {
  const fields = asRecord(value);
  return hasNumbers(fields, ['lane', 'retrySeconds']) && hasTexts(fields, ['offload', 'reason']);
}

function isPeer(value: unknown): value is PeerStatus {
  const fields = asRecord(value);
  return (
    hasNumbers(fields, [
      'groupDatagramsMax',
      'latestHandshakeMs',
      'rxBytes',
      'txBytes',
      'persistentKeepaliveSeconds',
    ]) &&
    hasTexts(fields, ['publicKey']) &&
    isTextOrNull(fields.endpoint) &&
    isTextOrNull(fields.lastFailure) &&
    (fields.groupRetrySeconds === null || typeof fields.groupRetrySeconds === 'number') &&
    isTextOrNull(fields.cipher) &&
    (fields.history === null || isHistory(fields.history)) &&
    typeof fields.hasPresharedKey === 'boolean' &&
    typeof fields.isGigatun === 'boolean' &&
    typeof fields.groupShortTail === 'boolean' &&
    isTexts(fields.allowedIps)
  );
}

function isSnapshot(value: unknown): value is DeviceSnapshot {
  const fields = asRecord(value);
  return (
    hasTexts(fields, ['interface', 'aead']) &&
    hasNumbers(fields, ['takenAtMs', 'wallNs', 'rssBytes', 'processCpuNs', 'memoryCrossingsCount']) &&
    isNumberOrNull(fields.memoryCapBytes) &&
    isCounts(fields.peersByCipher) &&
    Array.isArray(fields.heldOffloads) &&
    fields.heldOffloads.every(isHeld) &&
    hasNumbers(fields, ['heldGroupPeersCount']) &&
    Array.isArray(fields.histories) &&
    fields.histories.every((history) => hasTexts(asRecord(history), ['publicKey']) && isHistory(history)) &&
    Array.isArray(fields.lanes) &&
    fields.lanes.every(isLane) &&
    isLane(fields.total)
  );
}

const USAGE_KEYS = [
  'spanNs',
  'userNs',
  'systemNs',
  'cpuNs',
  'voluntarySwitchesCount',
  'involuntarySwitchesCount',
  'minorFaultsCount',
  'majorFaultsCount',
] as const;

function isLane(value: unknown): value is LaneSnapshot {
  const fields = asRecord(value);
  const usage = asRecord(fields.usage);
  return (
    hasTexts(fields, ['name']) &&
    isTextOrNull(fields.activity) &&
    hasNumbers(fields, ['wallNs', 'commitsCount', 'sleepNs']) &&
    hasNumbers(asRecord(fields.activitiesNs), namesOf(ACTIVITIES)) &&
    hasNumbers(asRecord(fields.coreWaitNs), namesOf(ACTIVITIES)) &&
    hasNumbers(asRecord(fields.counts), namesOf(COUNTERS)) &&
    hasNumbers(asRecord(fields.drops), namesOf(DROP_REASONS)) &&
    hasNumbers(usage, USAGE_KEYS) &&
    isNumberOrNull(usage.runQueueWaitNs)
  );
}

function namesOf(entries: readonly { readonly name: string }[]): string[] {
  return entries.map(({ name }) => name);
}
