import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { balanceOf, busyNsIn, busyNsOf, dearestActivity } from '../../src/ledger/balance.ts';
import { ACTIVITIES } from '../../src/ledger/catalog.ts';
import { sumSnapshots } from '../../src/ledger/snapshot.ts';
import { anyBooks, type BooksContent, laneWith } from './support/books.ts';

/** 1,000 ns: 300 in the kernel, 300 in user space, 400 asleep. */
const EVEN: BooksContent = {
  activitiesNs: { KERN_SEND_UDP: 300, USER_ENCRYPT: 290, USER_CONTROL: 10, KERN_WAIT: 400 },
  sleepNs: 400,
  counts: { WAIT_IO: 4 },
  usage: { MONOTONIC_NS: 1000, USER_NS: 310, SYSTEM_NS: 290, CPU_NS: 600, RUN_QUEUE_WAIT_NS: 0 },
};

/** 1,000 ns, 250 of them without a core: 100 after a sleep, 150 in the midst of a send; and 50 looking for work. */
const CROWDED: BooksContent = {
  activitiesNs: { KERN_SEND_UDP: 350, USER_ENCRYPT: 250, KERN_WAIT: 400 },
  coreWaitNs: { KERN_SEND_UDP: 150, KERN_WAIT: 100 },
  sleepNs: 250,
  counts: { WAIT_IO: 4 },
  usage: { MONOTONIC_NS: 1000, USER_NS: 250, SYSTEM_NS: 250, CPU_NS: 500, RUN_QUEUE_WAIT_NS: 250 },
};

describe('the balance', () => {
  it('is zero where the kernel says what the books say', () => {
    expect(balanceOf([laneWith('lane 0', EVEN)])).toEqual({
      lanesCount: 1,
      wallNs: 1000,
      activitiesNs: 1000,
      activitiesDifferenceNs: 0,
      activitiesDifferenceRatio: 0,
      sleepNs: 400,
      busyNs: 600,
      cpuNs: 600,
      runQueueWaitNs: 0,
      busyDifferenceNs: 0,
      busyDifferenceRatio: 0,
      busyDifferencePerWaitNs: 0,
      kernelRatio: 0.5,
      systemRatio: 290 / 600,
      kernelDifferencePoints: (0.5 - 290 / 600) * 100,
      usageLagNs: 0,
    });
  });

  it('shows time that no activity has', () => {
    const balance = balanceOf([laneWith('lane 0', { ...EVEN, wallNs: 1250 })]);
    expect(balance.activitiesDifferenceNs).toBe(-250);
    expect(balance.activitiesDifferenceRatio).toBe(-0.2);
  });

  it('takes for busy what of KERN_WAIT was no sleep: looking for work, and waiting for a core after it', () => {
    const balance = balanceOf([laneWith('lane 0', CROWDED)]);
    expect(balance).toMatchObject({ sleepNs: 250, busyNs: 750, cpuNs: 500, runQueueWaitNs: 250, busyDifferenceNs: 0 });
    const asleep = balanceOf([laneWith('lane 0', { ...CROWDED, sleepNs: 300 })]);
    expect(asleep).toMatchObject({ sleepNs: 300, busyNs: 700, busyDifferenceNs: 50, activitiesDifferenceNs: 0 });
  });

  it('compares the sides by their work on a core: without sleep, and without waits for one', () => {
    // On a core: 200 in send, 250 in encrypt, and 400 - 250 - 100 in KERN_WAIT.
    const balance = balanceOf([laneWith('lane 0', CROWDED)]);
    expect(balance).toMatchObject({ kernelRatio: 250 / 500, systemRatio: 0.5, kernelDifferencePoints: 0 });
    const unnoted = balanceOf([laneWith('lane 0', { ...CROWDED, coreWaitNs: {} })]);
    expect(unnoted).toMatchObject({ kernelRatio: 500 / 750, busyNs: balance.busyNs, busyDifferenceNs: 0 });
  });

  it('shows CPU time that was booked as sleep as a positive difference, per wait', () => {
    const balance = balanceOf([laneWith('lane 0', { ...EVEN, usage: { ...EVEN.usage, CPU_NS: 620 } })]);
    expect(balance).toMatchObject({ busyDifferenceNs: 20, busyDifferencePerWaitNs: 5, busyDifferenceRatio: 20 / 620 });
  });

  it('shows busy time in which the thread did not run as a negative difference', () => {
    const balance = balanceOf([laneWith('lane 0', { ...EVEN, usage: { ...EVEN.usage, CPU_NS: 450 } })]);
    expect(balance.busyDifferenceNs).toBe(-150);
  });

  it('counts the run-queue wait beside the CPU time, and takes an unknown one as none', () => {
    const usage = { ...EVEN.usage, CPU_NS: 500, RUN_QUEUE_WAIT_NS: 100 };
    expect(balanceOf([laneWith('lane 0', { ...EVEN, usage })]).busyDifferenceNs).toBe(0);
    const unknown = balanceOf([laneWith('lane 0', { ...EVEN, usage: { ...usage, RUN_QUEUE_WAIT_NS: -1 } })]);
    expect(unknown).toMatchObject({ runQueueWaitNs: null, busyDifferenceNs: -100 });
  });

  it('leaves out a lane that books no time, with its CPU time', () => {
    const control = laneWith('control', { usage: { CPU_NS: 1e6 }, counts: { WAIT_IO: 1000 } });
    expect(balanceOf([laneWith('lane 0', EVEN), control])).toEqual(balanceOf([laneWith('lane 0', EVEN)]));
  });

  it('of nothing has no ratios', () => {
    expect(balanceOf([])).toMatchObject({
      lanesCount: 0,
      activitiesDifferenceRatio: null,
      busyDifferenceRatio: null,
      busyDifferencePerWaitNs: null,
      sleepNs: 0,
      kernelDifferencePoints: null,
    });
  });

  it('of several lanes is that of their sum', () => {
    fc.assert(
      fc.property(anyBooks, anyBooks, (first, second) => {
        const lanes = [first, second]
          .map((content, index) => laneWith(`lane ${index}`, content))
          .filter(({ wallNs }) => wallNs > 0);
        const { lanesCount: _lanes, ...balance } = balanceOf(lanes);
        expect(balanceOf([sumSnapshots(lanes)])).toMatchObject(balance);
      }),
    );
  });
});

describe('busy time', () => {
  it('is all activities but the sleep', () => {
    fc.assert(
      fc.property(anyBooks, (content) => {
        const lane = laneWith('lane 0', content);
        const allNs = ACTIVITIES.reduce((sum, { name }) => sum + lane.activitiesNs[name], 0);
        expect(busyNsOf(lane)).toBe(allNs - lane.sleepNs);
        expect(ACTIVITIES.reduce((sum, { name }) => sum + busyNsIn(lane, name), 0)).toBe(busyNsOf(lane));
      }),
    );
  });

  it('leaves the sleep out of KERN_WAIT, and every other activity whole', () => {
    const lane = laneWith('lane 0', CROWDED);
    expect(busyNsIn(lane, 'KERN_WAIT')).toBe(150);
    expect(busyNsIn(lane, 'KERN_SEND_UDP')).toBe(350);
  });
});

describe('the dearest activity', () => {
  it('is the one with most time; waiting is never it, awake or asleep', () => {
    expect(dearestActivity(laneWith('lane 0', EVEN))).toBe('KERN_SEND_UDP');
    expect(dearestActivity(laneWith('lane 0', { activitiesNs: { KERN_WAIT: 5 }, sleepNs: 2 }))).toBeNull();
  });
});
