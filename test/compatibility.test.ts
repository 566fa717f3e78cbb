/** docs/compatibility.md: what its table of the protocol names as tests is there. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const page = readFileSync(new URL('../docs/compatibility.md', import.meta.url), 'utf8');
const section = page.slice(page.indexOf('\n## Protocol\n'), page.indexOf('\n## UAPI\n'));
/** Cells of each row: item, how, tests, deviation. */
const rows = section.split('\n').flatMap((line) => (line.startsWith('| ') ? [line.slice(2, -2).split(' | ')] : []));
const HEAD = 2;

describe('the table of the protocol', () => {
  it('has four cells in each row', () => {
    expect(rows.length).toBeGreaterThan(40);
    expect(rows.filter((cells) => cells.length !== 4)).toEqual([]);
  });

  it.each(rows.slice(HEAD).map(([item = '', , tests = '']) => ({ item, tests })))(
    'names tests that exist: $item',
    ({ tests }) => {
      for (const named of tests.split('<br>')) {
        const [, file = '', title = ''] = /^`([^`]+)`: (.+)$/.exec(named) ?? [];
        const source = readFileSync(new URL(file, import.meta.url), 'utf8').replaceAll("\\'", "'");
        expect(source.includes(title) && title !== '', named).toBe(true);
      }
    },
  );
});
