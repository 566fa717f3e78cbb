/** Markdown tables: as files have them, and with aligned columns for a terminal. */
import { significant } from '../statistics.ts';

/** Rows of cells, the head first; the first column names the row. */
export type Table = readonly (readonly string[])[];

export const NOTHING = '–';

/** A heading, the table with figures aligned right, and a paragraph below; '' without rows. */
export function section(title: string, [head = [], ...rows]: Table, sentences: readonly string[] = []): string {
  if (rows.length === 0) return '';
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'));
  const table = [line(head), line(rule), ...rows.map(line)];
  const paragraph = sentences.length === 0 ? [] : ['', sentences.join(' ')];
  return [`## ${title}`, '', ...table, ...paragraph].join('\n');
}

export function cell(value: number | null): string {
  return value === null ? NOTHING : significant(value);
}

export function scaled(value: number | null, factor: number): number | null {
  return value === null ? null : value * factor;
}

/** Drops the columns in which no row has a figure. */
export function withoutEmptyColumns(table: Table): Table {
  const [head = [], ...rows] = table;
  const kept = head.map((_, column) => column === 0 || rows.some((row) => /\d/.test(row[column] ?? '')));
  if (kept.filter(Boolean).length < 2) return [];
  return [head, ...rows].map((row) => row.filter((_, column) => kept[column] === true));
}

const WIDTH = 100;

/** Markdown as a terminal shows it best: columns of tables padded to one width, paragraphs broken into lines. */
export function readable(markdown: string): string {
  const lines = markdown.trimEnd().split('\n');
  const shown: string[] = [];
  for (let at = 0; at < lines.length; ) {
    const rows: string[] = [];
    while (lines[at + rows.length]?.startsWith('|') === true) rows.push(lines[at + rows.length] ?? '');
    shown.push(...(rows.length > 0 ? padded(rows) : wrapped(lines[at] ?? '')));
    at += Math.max(1, rows.length);
  }
  return `${shown.join('\n')}\n`;
}

function padded(lines: readonly string[]): string[] {
  const rows = lines.map((line) => line.slice(2, -2).split(' | '));
  const shown = rows.filter((_, index) => index !== 1);
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...shown.map((row) => (row[column] ?? '').length)));
  return rows.map((row, index) => {
    const cells = row.map((text, column) => {
      const width = widths[column] ?? 0;
      if (index === 1) return ''.padEnd(width, '-');
      return column === 0 ? text.padEnd(width) : text.padStart(width);
    });
    return cells.join('  ').trimEnd();
  });
}

function wrapped(line: string): string[] {
  const lines: string[] = [];
  let open = '';
  for (const word of line.split(' ')) {
    if (open !== '' && open.length + 1 + word.length > WIDTH) {
      lines.push(open);
      open = word;
    } else open = open === '' ? word : `${open} ${word}`;
  }
  return [...lines, open];
}
