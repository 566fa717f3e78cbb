/** The catalogs as Markdown tables, in the form in which docs/ledger.md shows them. */
import { ACTIVITIES, COUNTERS } from '../../../src/ledger/catalog.ts';
import { DROP_REASONS } from '../../../src/packet/drop-reason.ts';

export function activitiesTable(): string {
  const rows = ACTIVITIES.map(({ name, per, direction, meaning }) => [name, per ?? '–', direction, meaning]);
  return markdown(['activity', 'time per', 'direction', 'meaning'], rows);
}

export function countersTable(): string {
  const rows = COUNTERS.map(({ name, unit, meaning }) => [name, unit, meaning]);
  return markdown(['counter', 'unit', 'meaning'], rows);
}

export function dropsTable(): string {
  const rows = DROP_REASONS.map(({ name, direction, meaning }) => [name, direction, meaning]);
  return markdown(['reason', 'direction', 'meaning'], rows);
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
