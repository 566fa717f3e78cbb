/** Tables for files and for terminals, and the figure that memory is judged by. */
import { expect, it } from 'vitest';
import { growthOf } from '../../../src/lab/bench/memory.ts';
import { readable, section, withoutEmptyColumns } from '../../../src/lab/bench/table.ts';

const TABLE = [
  ['', 'one', 'twenty'],
  ['first', '1', '20'],
  ['second one', '–', '2'],
];

it('a section has its heading, its table and its sentences', () => {
  expect(section('Title', TABLE, ['One.', 'Two.'])).toBe(
    '## Title\n\n|  | one | twenty |\n| --- | ---: | ---: |\n| first | 1 | 20 |\n| second one | – | 2 |\n\nOne. Two.',
  );
  expect(section('Title', [])).toBe('');
});

it('columns without a figure go, and a table without columns', () => {
  expect(withoutEmptyColumns([...TABLE.slice(0, 1), ['first', '–', '20']])).toEqual([
    ['', 'twenty'],
    ['first', '20'],
  ]);
  expect(
    withoutEmptyColumns([
      ['', 'one'],
      ['first', '– / –'],
    ]),
  ).toEqual([]);
});

it('a terminal gets columns of one width and short lines', () => {
  const long = 'word '.repeat(60).trim();
  const lines = readable(section('Title', TABLE, [long])).split('\n');
  expect(lines.slice(2, 6)).toEqual([
    '            one  twenty',
    '----------  ---  ------',
    'first         1      20',
    'second one    –       2',
  ]);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(lines.slice(7).join(' ').trim()).toBe(long);
});

it('growth of a series is told from its quarters, so that one sample decides nothing', () => {
  expect(growthOf([10, 10, 99, 10, 12, 12, 13, 13])).toBe(3);
  expect(growthOf([5])).toBe(0);
});
