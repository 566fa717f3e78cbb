/** Checks figures of histories that came over a control socket. */
import type { HistoryStatus } from '../ledger/history-figures.ts';
import { asRecord } from './control-protocol.ts';
import { hasNumbers, hasTexts, isCounts, isNumberOrNull, isTextOrNull } from './value-checks.ts';

/** Whether a value is a peer's histories as status tells them. */
export function isHistory(value: unknown): value is HistoryStatus {
  const fields = asRecord(value);
  return (
    hasTexts(fields, ['mode']) &&
    Array.isArray(fields.paths) &&
    fields.paths.every(isPath) &&
    isFigures(fields.total) &&
    Array.isArray(fields.intervals) &&
    fields.intervals.every(isFigures)
  );
}

function isFigures(value: unknown): boolean {
  const fields = asRecord(value);
  return (
    hasNumbers(fields, ['seconds']) &&
    isCounts(fields.counts) &&
    isCounts(fields.sums) &&
    isNumberOrNull(fields.lossBefore) &&
    isNumberOrNull(fields.lossAfter)
  );
}

function isPath(value: unknown): boolean {
  const fields = asRecord(value);
  return (
    hasTexts(fields, ['name', 'state', 'use']) &&
    isTextOrNull(fields.local) &&
    isTextOrNull(fields.endpoint) &&
    [fields.rttMs, fields.loss, fields.rateBytesPerSecond, fields.heardAgoMs].every(isNumberOrNull) &&
    isCounts(fields.total) &&
    Array.isArray(fields.intervals) &&
    fields.intervals.every(isCounts)
  );
}
