/** Plain text for figures: numbers with their units, and rows of cells in aligned columns. */

/** What stands where there is no figure. */
export const NO_FIGURE = '–';

/** How a column is aligned: left or right. */
export type Alignment = 'l' | 'r';

/**
 * Lays rows out in columns, two spaces apart, each line indented by two and without trailing spaces.
 *
 * @param rows of strings; missing cells at the end are empty
 * @param alignments one per column
 */
export function alignColumns(rows: readonly (readonly string[])[], alignments: readonly Alignment[]): string[] {
  const widths = alignments.map((_, column) => Math.max(0, ...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => {
    const cells = widths.map((width, column) => pad(row[column] ?? '', width, alignments[column] ?? 'l'));
    return `  ${cells.join('  ')}`.trimEnd();
  });
}

/** Rows under a title. */
export interface Group {
  readonly title: string;
  readonly rows: readonly (readonly string[])[];
}

/** As `alignColumns`, with the same columns for all groups, each under its title and an empty line between them. */
export function alignGroups(groups: readonly Group[], alignments: readonly Alignment[]): string[] {
  const lines = alignColumns(
    groups.flatMap(({ rows }) => rows),
    alignments,
  );
  let first = 0;
  return groups.flatMap(({ title, rows }, index) => {
    const own = lines.slice(first, first + rows.length);
    first += rows.length;
    return index === 0 ? [title, ...own] : ['', title, ...own];
  });
}

/** 1234567 -> `1,234,567`. Not by Intl, whose data takes 6 MB of a running tunnel's memory. */
export function formatCount(count: number): string {
  return withoutMinusZero(count.toFixed(0)).replaceAll(/\B(?=(\d{3})+$)/g, ',');
}

/** Nanoseconds as microseconds: 213.4 -> `0.213 µs` */
export function formatMicroseconds(ns: number | null): string {
  return ns === null ? NO_FIGURE : `${withoutMinusZero((ns / 1e3).toFixed(3))} µs`;
}

/** Nanoseconds as seconds: 1234567890 -> `1.235 s` */
export function formatSeconds(ns: number): string {
  return `${withoutMinusZero((ns / 1e9).toFixed(3))} s`;
}

/** 0.1234 -> `12.3 %` */
export function formatPercent(value: number | null, digits = 1): string {
  return value === null ? NO_FIGURE : `${withoutMinusZero((value * 100).toFixed(digits))} %`;
}

/** Nanoseconds in the unit that suits: 1234 -> `1.234 µs`, 12 -> `12 ns` */
export function formatDuration(ns: number): string {
  if (Math.abs(ns) < 999.5) return `${withoutMinusZero(ns.toFixed(0))} ns`;
  if (Math.abs(ns) < 999_999.5) return formatMicroseconds(ns);
  return Math.abs(ns) < 999_999_500 ? `${(ns / 1e6).toFixed(3)} ms` : formatSeconds(ns);
}

/** A figure with a fixed number of digits: 45.04 -> `45.0` */
export function formatNumber(value: number | null, digits: number): string {
  return value === null ? NO_FIGURE : withoutMinusZero(value.toFixed(digits));
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Decimal units: 17140000000 -> `17.14 GB` */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // 999.995 would print as 1000.00.
  while (Math.abs(value) >= 999.995 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value.toFixed(0) : value.toFixed(2)} ${BYTE_UNITS[unit]}`;
}

function pad(cell: string, width: number, alignment: Alignment): string {
  return alignment === 'l' ? cell.padEnd(width) : cell.padStart(width);
}

function withoutMinusZero(text: string): string {
  return /^-0(\.0*)?$/.test(text) ? text.slice(1) : text;
}
