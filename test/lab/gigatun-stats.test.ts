/** What the lab takes from `gigatun stats --json`, against the very function that prints it. */
import { describe, expect, it } from 'vitest';
import { GigatunError } from '../../src/errors.ts';
import { dearestOf, readStats } from '../../src/lab/gigatun-stats.ts';
import { statsOf } from './support/bench-result.ts';

const { activitiesNs, coreWaitNs, balance, ...rest } = statsOf({ USER_ENCRYPT: 30, KERN_WAIT: 90 }, { UDP_TX_UNIQ: 3 });
const JSON_OF_END = {
  aead: rest.aead,
  total: {
    activities: Object.fromEntries(
      Object.entries(activitiesNs).map(([name, timeNs]) => [name, { timeNs, coreWaitNs: 0 }]),
    ),
    countersCount: rest.counts,
    dropsCount: { OUT_NO_ROUTE: 2 },
    balance: { ...balance, kernelRatio: 0.4 },
  },
};

describe('reading statistics', () => {
  it('takes times, counts, drops and the balance', () => {
    expect(readStats(JSON_OF_END)).toEqual({ ...rest, activitiesNs, coreWaitNs, balance, drops: { OUT_NO_ROUTE: 2 } });
  });
  it.each([
    ['no object', 'text'],
    ['no total', { aead: 'x' }],
    ['an activity too few', { ...JSON_OF_END, total: { ...JSON_OF_END.total, activities: {} } }],
    ['a count that is text', { ...JSON_OF_END, total: { ...JSON_OF_END.total, countersCount: { TUN_RX: '1' } } }],
  ])('refuses %s', (_, json) => expect(() => readStats(json)).toThrowError(GigatunError));
});

describe('the dearest activity', () => {
  it('is the one that took most over both ends, waiting left out', () => {
    const a = statsOf(
      { KERN_WAIT: 9e9, USER_ENCRYPT: 3e6, USER_DECRYPT: 1e6 },
      { UDP_TX_UNIQ: 1_000, UDP_RX_UNIQ: 1_000 },
    );
    const b = statsOf(
      { KERN_WAIT: 9e9, USER_ENCRYPT: 1e6, USER_DECRYPT: 5e6 },
      { UDP_TX_UNIQ: 1_000, UDP_RX_UNIQ: 2_000 },
    );
    expect(dearestOf([a, b])).toEqual({ name: 'USER_DECRYPT', shareOfWork: 0.6, microseconds: 2, per: 'UDP_RX_UNIQ' });
  });
  it('leaves out the time that was spent without a core', () => {
    const end = statsOf({ KERN_WRITE_TUN: 9, USER_DECRYPT: 5 });
    const waited = { ...end, coreWaitNs: { ...end.coreWaitNs, KERN_WRITE_TUN: 8 } };
    expect(dearestOf([waited])).toMatchObject({ name: 'USER_DECRYPT', shareOfWork: 5 / 6 });
  });
  it('has no time per packet when nothing counts it', () => {
    expect(dearestOf([statsOf({ USER_CONTROL: 5 })])).toMatchObject({
      name: 'USER_CONTROL',
      microseconds: null,
      per: null,
    });
  });
  it('is none when nothing was booked', () => expect(dearestOf([statsOf({ KERN_WAIT: 5 })])).toBeNull());
});
