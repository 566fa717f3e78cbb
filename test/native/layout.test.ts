import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ACTIVITIES } from '../../src/ledger/catalog.ts';
import * as layout from '../../src/native/layout.ts';
import { ROOT } from './support.ts';

/** Every `NAME = number` of the header's enums; expressions are only shifts. */
function readHeader(): Map<string, number> {
  const text = readFileSync(`${ROOT}/native/core/layout.h`, 'utf8').replaceAll(/\/\/.*/g, '');
  const constants = new Map<string, number>();
  for (const [, name = '', value = ''] of text.matchAll(/\b([A-Z][A-Z0-9_]*) = ([0-9 <]+)/g)) {
    const [base = '', shift = '0'] = value.split('<<');
    constants.set(name, Number(base) * 2 ** Number(shift));
  }
  return constants;
}

const header = readHeader();
const groups = Object.entries(layout).flatMap(([name, columns]): [string, Readonly<Record<string, number>>][] =>
  typeof columns === 'object' ? [[name, columns]] : [],
);

describe('layout.ts and layout.h', () => {
  test('the header was read', () => {
    expect(groups.length).toBeGreaterThanOrEqual(10);
    expect(header.size).toBeGreaterThan(90);
  });

  test.each(groups)('%s has the same columns on both sides', (group, columns) => {
    const ours = Object.entries(columns).map(([name, value]) => [`${group}_${name}`, value] as const);
    const theirs = [...header].filter(([name]) => ours.some(([other]) => other === name));
    expect(Object.fromEntries(theirs)).toEqual(Object.fromEntries(ours));
  });

  test('the header knows no column that TypeScript does not', () => {
    const known = new Set(groups.flatMap(([group, columns]) => Object.keys(columns).map((name) => `${group}_${name}`)));
    const limits = ['BATCH_MAX', 'PIECES_MAX', 'KEY_SLOTS', 'KEY_LENGTH', 'TAG_LENGTH', 'NONCE_LENGTH'];
    const others = [...header.keys()].filter((name) => !known.has(name) && !name.startsWith('ACTIVITY_'));
    expect(others.sort()).toEqual([...limits, 'VIRTIO_HEADER_LENGTH'].sort());
    expect(header.get('VIRTIO_HEADER_LENGTH')).toBe(layout.VIRTIO_HEADER_LENGTH);
  });

  test('activities have the numbers of the catalog', () => {
    const theirs = ACTIVITIES.map(({ name }) => header.get(`ACTIVITY_${name}`));
    expect(theirs).toEqual(ACTIVITIES.map(({ id }) => id));
    expect(header.get('ACTIVITY_COUNT')).toBe(ACTIVITIES.length);
  });

  test('the books have a cell of time and one of waits for a core for each activity, none of them shared', () => {
    const { ACTIVITY_NS, CORE_WAIT_NS, CELLS, ...singles } = layout.BOOKS;
    const cells = ACTIVITIES.flatMap(({ id }) => [ACTIVITY_NS + id, CORE_WAIT_NS + id]).concat(Object.values(singles));
    expect(new Set(cells).size).toBe(cells.length);
    expect(Math.max(...cells)).toBeLessThan(CELLS);
  });
});
