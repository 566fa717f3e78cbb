/** The diagnosis as text for a person, one screen of grouped and aligned rows, and as one JSON object for programs. */
import { type Check, GROUPS, type Group, type Status } from './check.ts';
import type { Diagnosis } from './doctor.ts';

/** Version of the JSON object; grows when a field changes its meaning or goes. Checks may be added at any time. */
export const DOCTOR_SCHEMA = 1;

const HEADINGS: Readonly<Record<Group, string>> = {
  system: 'system',
  tun: 'TUN',
  udp: 'UDP',
  cpu: 'CPU',
  aead: 'AEAD',
  clock: 'clock',
  network: 'network',
  tunnel: 'tunnel',
};

const STATUS_WIDTH = 4;
/** Longer titles and values push what follows to the right, on their line only. */
const TITLE_WIDTH_MAX = 18;
const VALUE_WIDTH_MAX = 36;
/** Narrower than this, columns make no sense. */
const WIDTH_MIN = 72;

/**
 * Formats a diagnosis; lines ended by newlines.
 *
 * @param width columns of the screen
 */
export function formatDiagnosis({ checks, limit, status }: Diagnosis, width: number): string {
  const layout = layoutOf(checks, Math.max(WIDTH_MIN, width));
  const names = [null, ...new Set(checks.flatMap(({ interface: name }) => name ?? []))];
  const lines = names.flatMap((name) =>
    GROUPS.flatMap((group) => {
      const members = checks.filter((check) => check.group === group && check.interface === name);
      const heading = name === null ? HEADINGS[group] : `${HEADINGS[group]} ${name}`;
      return members.length === 0 ? [] : [heading, ...members.flatMap((check) => rowOf(check, layout))];
    }),
  );
  const where = limit.interface === null ? '' : ` (${limit.interface})`;
  const end = [
    ...wrap(`Limits throughput most${where}: ${limit.what}.`, layout.width, 2),
    ...wrap(`  because ${limit.how}`, layout.width, 2),
    ...(limit.advice === null ? [] : wrap(`  -> ${limit.advice}`, layout.width, 5)),
  ];
  return `${[...lines, '', verdict(checks, status), ...end].join('\n')}\n`;
}

/** The diagnosis for JSON: a stable shape, described in docs/cli.md. */
export function diagnosisJson({ takenAtMs, status, checks, limit }: Diagnosis, version: string): object {
  return {
    schema: DOCTOR_SCHEMA,
    version,
    takenAtMs,
    status,
    checks: checks.map(({ id, group, interface: name, title, status: own, value, reason, advice }) => ({
      id,
      group,
      interface: name,
      title,
      status: own,
      value,
      reason,
      advice,
    })),
    limit,
  };
}

function verdict(checks: readonly Check[], status: Status): string {
  const count = (wanted: Status): number => checks.filter((check) => check.status === wanted).length;
  const counts = (['fail', 'warn', 'note', 'ok'] as const).flatMap((name) =>
    count(name) === 0 ? [] : [`${count(name)} ${name}`],
  );
  const sentence = {
    ok: 'A tunnel runs well here',
    note: 'A tunnel runs well here',
    warn: 'A tunnel runs here, below its best',
    fail: 'A tunnel cannot run here, or the one that was asked for does not',
  }[status];
  return `${sentence}: ${counts.join(', ')}.`;
}

interface Layout {
  readonly width: number;
  readonly title: number;
  readonly value: number;
}

function layoutOf(checks: readonly Check[], width: number): Layout {
  const widest = (texts: readonly string[], most: number): number =>
    Math.max(0, ...texts.map(({ length }) => length).filter((length) => length <= most));
  return {
    width,
    title: widest(
      checks.map(({ title }) => title),
      TITLE_WIDTH_MAX,
    ),
    value: widest(
      checks.map(({ value }) => value),
      VALUE_WIDTH_MAX,
    ),
  };
}

/** `  warn  title  value  reason`, and below, under the reason, what does not fit and the advice. */
function rowOf(
  { status, title, value, reason, advice }: Check,
  { width, title: titleWidth, value: valueWidth }: Layout,
) {
  const start = `  ${status.padEnd(STATUS_WIDTH)}  ${title.padEnd(titleWidth)}  `;
  const indent = Math.min(start.length + valueWidth + 2, Math.floor(width / 2));
  const row = wrap(`${`${start}${value}`.padEnd(indent - 2)}  ${reason}`, width, indent);
  if (advice === null) return row;
  return [...row, ...wrap(`${' '.repeat(indent)}-> ${advice}`, width, indent + 3)];
}

/** Breaks a line between words; those behind the first are indented. A word that is too long stays whole. */
function wrap(text: string, width: number, indent: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const least = lines.length === 0 ? rest.length - rest.trimStart().length : indent;
    const within = rest.lastIndexOf(' ', width);
    const at = within > least ? within : rest.indexOf(' ', Math.max(width, least));
    if (at < 0) break;
    lines.push(rest.slice(0, at).trimEnd());
    rest = `${' '.repeat(indent)}${rest.slice(at).trimStart()}`;
  }
  return [...lines, rest.trimEnd()];
}
