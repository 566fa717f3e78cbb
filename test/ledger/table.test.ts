import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  alignColumns,
  alignGroups,
  formatBytes,
  formatCount,
  formatDuration,
  formatMicroseconds,
  formatNumber,
  formatPercent,
  formatSeconds,
} from '../../src/ledger/table.ts';

describe('figures', () => {
  it('have their units', () => {
    expect(formatCount(1_234_567)).toBe('1,234,567');
    expect(formatMicroseconds(213.4)).toBe('0.213 µs');
    expect(formatSeconds(1_234_567_890)).toBe('1.235 s');
    expect(formatPercent(0.1234)).toBe('12.3 %');
    expect(formatPercent(-0.00004, 3)).toBe('-0.004 %');
    expect(formatNumber(45.04, 1)).toBe('45.0');
  });

  it('are a dash where there is none', () => {
    expect([formatMicroseconds(null), formatPercent(null), formatNumber(null, 1)]).toEqual(['–', '–', '–']);
  });

  it('are never minus zero', () => {
    expect(formatSeconds(-1)).toBe('0.000 s');
    expect(formatPercent(-0.000001)).toBe('0.0 %');
    expect(formatNumber(-0.001, 0)).toBe('0');
    expect(formatDuration(-0)).toBe('0 ns');
  });

  it('change the unit of a duration where it gets a fourth digit', () => {
    expect([0, 999, 1000, 999_999, 1_000_000, 999_999_000, 1_000_000_000].map(formatDuration)).toEqual([
      '0 ns',
      '999 ns',
      '1.000 µs',
      '999.999 µs',
      '1.000 ms',
      '999.999 ms',
      '1.000 s',
    ]);
    expect(formatDuration(-16_000_000)).toBe('-16.000 ms');
  });

  it('show bytes in decimal units and never four digits before the point', () => {
    expect([0, 999, 1000, 999_994, 999_996, 17_140_000_000].map(formatBytes)).toEqual([
      '0 B',
      '999 B',
      '1.00 kB',
      '999.99 kB',
      '1.00 MB',
      '17.14 GB',
    ]);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 53 - 1 }), (bytes) => {
        expect(formatBytes(bytes)).toMatch(/^\d{1,3}(\.\d\d)? [kMGTP]?B$/);
      }),
    );
  });
});

describe('columns', () => {
  it('are as wide as their longest cell, left or right', () => {
    const rows = [
      ['a', '1', 'x'],
      ['bbb', '22'],
    ];
    expect(alignColumns(rows, ['l', 'r', 'l'])).toEqual(['  a     1  x', '  bbb  22']);
  });

  it('stand under each other across groups', () => {
    const groups = [
      { title: 'one', rows: [['a', '1']] },
      { title: 'two', rows: [['bb', '100']] },
    ];
    expect(alignGroups(groups, ['l', 'r'])).toEqual(['one', '  a     1', '', 'two', '  bb  100']);
  });

  it('lose no cell and end no line in a space', () => {
    const rows = fc.array(fc.array(fc.stringMatching(/^[a-z]{1,9}$/), { minLength: 3, maxLength: 3 }), {
      minLength: 1,
    });
    fc.assert(
      fc.property(rows, (cells) => {
        const lines = alignColumns(cells, ['l', 'r', 'l']);
        expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual(cells);
        expect(lines.every((line) => line === line.trimEnd())).toBe(true);
      }),
    );
  });
});
