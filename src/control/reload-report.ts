/**
 * What a reload tells of itself, over the control socket too: the difference in words, how much of it there is beyond
 * what fits, and what was not applied. Whoever gets it believes nothing of its shape.
 */
import { GigatunError } from '../errors.ts';
import { asRecord } from './control-protocol.ts';
import type { DifferenceLine } from './difference.ts';

export interface ReloadReport {
  readonly interface: string;
  /** Whether this was only asked for, and nothing done. */
  readonly dryRun: boolean;
  /** Number of differences; 0: the tunnel is already as the file has it. */
  readonly changesCount: number;
  /** The first of them. */
  readonly changes: readonly DifferenceLine[];
  readonly warnings: readonly string[];
  /** What differs and stays as it is until a restart. */
  readonly needsRestart: readonly string[];
}

/** So many are told; of the rest, the number. */
const CHANGES_SHOWN_MAX = 1_000;
const WARNINGS_SHOWN_MAX = 50;

/** Cuts lists to what may go over the socket. */
export function boundedReport(report: ReloadReport): ReloadReport {
  const changes = report.changes.slice(0, CHANGES_SHOWN_MAX);
  const warnings = report.warnings.slice(0, WARNINGS_SHOWN_MAX);
  const leftCount = report.warnings.length - warnings.length;
  return { ...report, changes, warnings: leftCount === 0 ? warnings : [...warnings, `and ${leftCount} more warnings`] };
}

/** @throws GigatunError PROTOCOL when the value is no report. */
export function readReloadReport(value: unknown): ReloadReport {
  if (isReport(value)) return value;
  const hint = 'bring the interface down and up again after an update';
  throw new GigatunError('PROTOCOL', `expected a report of a reload, got something else; ${hint}`);
}

function isReport(value: unknown): value is ReloadReport {
  const { interface: name, dryRun, changesCount, changes, warnings, needsRestart } = asRecord(value);
  return (
    typeof name === 'string' &&
    typeof dryRun === 'boolean' &&
    typeof changesCount === 'number' &&
    Array.isArray(changes) &&
    changes.every(isLine) &&
    isTexts(warnings) &&
    isTexts(needsRestart)
  );
}

function isLine(value: unknown): boolean {
  const { sign, text } = asRecord(value);
  return (sign === '+' || sign === '-' || sign === '~') && typeof text === 'string';
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string');
}
