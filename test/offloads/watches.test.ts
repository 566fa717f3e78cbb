/** What losses and rates say about groups: told from reports with a gigatun, from bytes alone with a stock peer. */
import { describe, expect, it } from 'vitest';
import { Backoff } from '../../src/offloads/backoff.ts';
import { LossWatch } from '../../src/offloads/loss-watch.ts';
import { RateWatch } from '../../src/offloads/rate-watch.ts';

describe('a backoff', () => {
  it('doubles up to its longest wait, and starts anew', () => {
    const backoff = new Backoff(30, 100);
    expect([1, 2, 3, 4].map(() => backoff.take())).toEqual([30, 60, 100, 100]);
    backoff.reset();
    expect(backoff.take()).toBe(30);
  });
});

describe('reports of a peer', () => {
  it('show a loss of more than one in twenty since the last one', () => {
    const watch = new LossWatch();
    expect(watch.report(1, 1_000, 1_000, 1_000)).toBe(false);
    expect(watch.report(1, 2_000, 1_951, 2_000)).toBe(false);
    expect(watch.report(1, 3_000, 2_851, 3_000)).toBe(true);
    expect(watch.report(1, 4_000, 3_851, 4_000)).toBe(false);
  });

  it('of another keypair start anew, and a message or two are no loss', () => {
    const watch = new LossWatch();
    watch.report(1, 5_000, 5_000, 5_000);
    expect(watch.report(2, 10, 8, 10)).toBe(false);
    expect(watch.report(2, 20, 15, 20)).toBe(true);
  });

  it('that fail to come while much is sent show that nothing arrives', () => {
    const watch = new LossWatch();
    watch.report(1, 10, 10, 10);
    expect([40, 60, 80].map((sent) => watch.look(1, sent))).toEqual([false, false, true]);
    watch.report(1, 80, 80, 80);
    expect([82, 84, 86, 88, 90].map((sent) => watch.look(1, sent))).toEqual([false, false, false, false, false]);
  });
});

const MEGABYTE = 1 << 20;

/** Looks once a second; returns whether groups are on after each. */
function looks(
  watch: RateWatch,
  rates: readonly (readonly [sent: number, received: number])[],
  startMs: number,
): boolean[] {
  return rates.map(([sent, received], second) => {
    watch.look(sent, received, startMs + second * 1_000);
    return watch.groups;
  });
}

describe('the rate to a stock peer', () => {
  const slow = [100_000, 10_000] as const;
  const fast = [50 * MEGABYTE, MEGABYTE] as const;
  const idle = [0, 0] as const;

  it('that is high leaves groups on, as does none at all', () => {
    const watch = new RateWatch();
    expect(looks(watch, [fast, fast, idle, idle, idle, idle, fast, slow, slow, idle], 1_000)).not.toContain(false);
  });

  it('that is low for three seconds switches them off, and they come back when single datagrams flow fast', () => {
    const watch = new RateWatch();
    expect(looks(watch, [slow, slow, slow, slow, slow, slow, slow, slow, slow], 1_000).at(-1)).toBe(false);
    expect(watch.retryMs).toBe(0);
    expect(looks(watch, [fast], 60_000)).toEqual([true]);
  });

  it('that rises as soon as they are off proves them broken: half a minute without, then ever longer', () => {
    const watch = new RateWatch();
    looks(watch, [slow, slow, slow], 1_000);
    expect(looks(watch, new Array(29).fill(fast), 4_000)).not.toContain(true);
    expect(watch.retryMs).toBe(34_000);
    expect(looks(watch, [fast], 34_000)).toEqual([true]);
    expect(looks(watch, [slow, slow, slow], 35_000)).toEqual([true, true, false]);
    expect(watch.retryMs).toBe(37_000 + 60_000);
    expect(looks(watch, new Array(50).fill(fast), 38_000)).not.toContain(true);
  });

  it('of a sender in bursts is no proof against groups that have flown fast', () => {
    const watch = new RateWatch();
    const burst = [fast, fast, slow, slow, slow, fast] as const;
    const ons = looks(watch, [...burst, ...burst, ...burst], 1_000);
    expect(ons).toEqual(new Array(3).fill([true, true, true, true, false, true]).flat());
    expect(watch.retryMs).toBe(0);
  });

  it('that is high one way while nothing comes back switches them off for a trial', () => {
    const watch = new RateWatch();
    const oneWay = [50 * MEGABYTE, 0] as const;
    expect(looks(watch, new Array(12).fill(oneWay), 1_000)).toEqual([...new Array(11).fill(true), false]);
    expect(watch.retryMs).toBe(12_000 + 30_000);
  });

  it('that is high one way leaves groups on where a keepalive comes back every ten seconds', () => {
    const watch = new RateWatch();
    const minute = Array.from({ length: 60 }, (_, second) => [50 * MEGABYTE, second % 10 === 9 ? 32 : 0] as const);
    expect(looks(watch, minute, 1_000)).not.toContain(false);
  });
});
