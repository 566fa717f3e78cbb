/**
 * The books against the kernel: a lane without devices seals, waits and controls, and its balance must come out. What is
 * said of the run-queue wait holds on a core of any load: readings of schedstat before and after bound what was noted.
 */
import { describe, expect, it } from 'vitest';
import { balanceOf } from '../../src/ledger/balance.ts';
import { ACTIVITIES, ACTIVITY } from '../../src/ledger/catalog.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { openPage } from '../../src/ledger/page.ts';
import { type LaneSnapshot, readPage } from '../../src/ledger/snapshot.ts';
import { book, closeLane, openLane, seal, setKey, threadUsage, wait, wake } from '../../src/native/addon.ts';
import { CIPHER, SEAL, USAGE } from '../../src/native/layout.ts';
import type { LaneHandle } from '../../src/native/types.ts';
import { onSharedCore, sharedCoreMissing } from './support/shared-core.ts';

const MESSAGES = 64;
const PAYLOAD_LENGTH = 1424;
const SLOT_BYTES = 2048;
const PAYLOADS_OFFSET = 8192;

interface Lane {
  readonly handle: LaneHandle;
  readonly wakeFd: number;
  readonly ledger: Ledger;
  /** Books up to now and reads the page, as a lane does when it is asked for a snapshot. */
  readonly snapshot: () => LaneSnapshot;
}

function withLane(bookTime: boolean, use: (lane: Lane) => void): void {
  const page = openPage();
  const ledger = new Ledger(page);
  const arena = new Uint8Array(new SharedArrayBuffer(PAYLOADS_OFFSET + 2 * MESSAGES * SLOT_BYTES));
  describeMessages(new Int32Array(arena.buffer));
  const none = { tunFd: -1, udp4Fd: -1, udp6Fd: -1 };
  const { handle, wakeFd } = openLane({ arena, books: ledger.books, ...none, aead: 'openssl', bookTime });
  threadUsage(ledger.usage);
  ledger.begin();
  setKey(handle, 0, new Uint8Array(32), CIPHER.CHACHA20_POLY1305);
  const snapshot = (): LaneSnapshot => {
    book(handle, ACTIVITY.USER_CONTROL);
    threadUsage(ledger.usage);
    ledger.commit();
    return readPage(page, 'lane 0');
  };
  try {
    use({ handle, wakeFd, ledger, snapshot });
  } finally {
    closeLane(handle);
  }
}

/** MESSAGES seal descriptors: payloads in the first half of the slots, datagrams in the second. */
function describeMessages(words: Int32Array): void {
  for (let message = 0; message < MESSAGES; message++) {
    const descriptor = message * SEAL.WORDS;
    words[descriptor + SEAL.NONCE_LOW] = message;
    words[descriptor + SEAL.HEAD_OFFSET] = PAYLOADS_OFFSET + message * SLOT_BYTES;
    words[descriptor + SEAL.HEAD_LENGTH] = PAYLOAD_LENGTH;
    words[descriptor + SEAL.PAYLOAD_OFFSET] = PAYLOADS_OFFSET;
    words[descriptor + SEAL.PADDED_LENGTH] = PAYLOAD_LENGTH;
    words[descriptor + SEAL.OUT_OFFSET] = PAYLOADS_OFFSET + (MESSAGES + message) * SLOT_BYTES;
    words[descriptor + SEAL.CHECKSUM_START] = -1;
  }
}

function sealBatches({ handle }: Lane, count: number): void {
  for (let batch = 0; batch < count; batch++) seal(handle, 0, MESSAGES, ACTIVITY.USER_TUN_TO_UDP);
}

function waitOften({ handle }: Lane, count: number, timeoutMs: number): void {
  for (let turn = 0; turn < count; turn++) wait(handle, timeoutMs, 0, ACTIVITY.USER_CONTROL);
}

function usageCell(cell: number): number {
  const cells = new Float64Array(USAGE.CELLS);
  threadUsage(cells);
  return cells[cell] ?? Number.NaN;
}

/** This thread's run-queue wait since it began, nanoseconds. */
const runQueueWaitNs = (): number => usageCell(USAGE.RUN_QUEUE_WAIT_NS);

/** Keeps the thread running until it has waited that long for its core, on a core that it shares. */
function workUntilWaited(ns: number): void {
  const untilNs = runQueueWaitNs() + ns;
  const giveUpNs = usageCell(USAGE.CPU_NS) + 30e9;
  while (runQueueWaitNs() < untilNs) if (usageCell(USAGE.CPU_NS) > giveUpNs) throw new Error('nobody shares the core');
}

const onItsActivities = ({ activitiesNs }: LaneSnapshot): string[] =>
  ACTIVITIES.map(({ name }) => name).filter((name) => activitiesNs[name] > 0);

describe('books that native code keeps', () => {
  it('lose no nanosecond and book none twice', () => {
    withLane(true, (lane) => {
      sealBatches(lane, 200);
      waitOften(lane, 5, 1);
      const snapshot = lane.snapshot();
      // Floats hold CLOCK_MONOTONIC exactly for 104 days, then to a few nanoseconds.
      expect(Math.abs(balanceOf([snapshot]).activitiesDifferenceNs)).toBeLessThan(1000);
      expect(snapshot.wallNs).toBeGreaterThan(5e6);
      expect(snapshot.counts.WAIT_IO).toBe(5);
    });
  });

  it('put the work where it was done', () => {
    withLane(true, (lane) => {
      sealBatches(lane, 10);
      waitOften(lane, 10, 2);
      const snapshot = lane.snapshot();
      expect(onItsActivities(snapshot)).toEqual(['USER_TUN_TO_UDP', 'USER_ENCRYPT', 'KERN_WAIT', 'USER_CONTROL']);
      expect(snapshot.activitiesNs.KERN_WAIT).toBeGreaterThan(20e6);
    });
  });

  it('book no sleep for waits that only look: all of that is busy time', () => {
    withLane(true, (lane) => {
      waitOften(lane, 1000, 0);
      const snapshot = lane.snapshot();
      expect(snapshot.counts.WAIT_IO).toBe(1000);
      expect(snapshot.activitiesNs.KERN_WAIT).toBeGreaterThan(0);
      expect(snapshot.sleepNs).toBe(0);
      const { busyNs, activitiesNs } = balanceOf([snapshot]);
      expect(busyNs).toBe(activitiesNs);
    });
  });

  it('book nothing and still tell wall time when booking is off', () => {
    withLane(false, (lane) => {
      sealBatches(lane, 10);
      waitOften(lane, 5, 1);
      const snapshot = lane.snapshot();
      expect(balanceOf([snapshot]).lanesCount).toBe(0);
      expect(snapshot.wallNs).toBeGreaterThan(5e6);
      expect(snapshot.sleepNs).toBe(0);
      expect(new Set(Object.values(snapshot.coreWaitNs))).toEqual(new Set([0]));
    });
  });
});

describe.skipIf(sharedCoreMissing !== null)(`books on a shared core [${sharedCoreMissing ?? 'taskset'}]`, () => {
  it('note the waits for a core on the activity that was long because of them', { timeout: 60_000 }, () => {
    withLane(true, ({ handle, wakeFd, snapshot }) =>
      onSharedCore(() => {
        const earliestNs = runQueueWaitNs();
        // Nothing is left to note after a wake.
        wake(wakeFd);
        wait(handle, -1, 0, ACTIVITY.USER_DECRYPT);
        const begunNs = runQueueWaitNs();
        workUntilWaited(20e6);
        const doneNs = runQueueWaitNs();
        book(handle, ACTIVITY.USER_CONTROL);
        const latestNs = runQueueWaitNs();
        const { coreWaitNs } = snapshot();
        expect(coreWaitNs.USER_DECRYPT).toBeGreaterThanOrEqual(doneNs - begunNs);
        expect(coreWaitNs.USER_DECRYPT).toBeLessThanOrEqual(latestNs - earliestNs);
        expect(coreWaitNs.USER_ENCRYPT).toBe(0);
      }),
    );
  });

  it('tell the sleep of a wait from the wait for a core after it', { timeout: 60_000 }, () => {
    withLane(true, (lane) =>
      onSharedCore(() => {
        const earliestNs = runQueueWaitNs();
        waitOften(lane, 20, 1);
        // The other process may need a while to start; on a core that is free, a wake-up waits for nothing.
        for (let more = 0; more < 20_000 && lane.snapshot().coreWaitNs.KERN_WAIT === 0; more++) waitOften(lane, 1, 1);
        const { sleepNs, coreWaitNs, activitiesNs } = lane.snapshot();
        const latestNs = runQueueWaitNs();
        expect(coreWaitNs.KERN_WAIT).toBeGreaterThan(0);
        expect(coreWaitNs.KERN_WAIT).toBeLessThanOrEqual(latestNs - earliestNs);
        expect(sleepNs).toBeGreaterThan(0);
        expect(sleepNs + coreWaitNs.KERN_WAIT).toBeGreaterThanOrEqual(20e6);
        expect(sleepNs + coreWaitNs.KERN_WAIT).toBeLessThanOrEqual(activitiesNs.KERN_WAIT);
      }),
    );
  });

  // The line shall come out to microseconds per wait. What is asked here is that neither the sleep nor the waits for a
  // core are left in it, in the best of five runs, for the kernel's figures are read some time slices apart.
  it('balance: busy time is CPU time and run-queue wait, and the sleep is neither', { timeout: 60_000 }, () => {
    const balances = Array.from({ length: 5 }, () => {
      let balance = balanceOf([]);
      withLane(true, (lane) =>
        onSharedCore(() => {
          waitOften(lane, 20, 5);
          workUntilWaited(60e6);
          balance = balanceOf([lane.snapshot()]);
        }),
      );
      return balance;
    });
    const left = balances.map(({ busyDifferenceNs, sleepNs, runQueueWaitNs: waitedNs }) =>
      Math.abs(busyDifferenceNs / Math.min(sleepNs, waitedNs ?? 0)),
    );
    expect(Math.min(...left)).toBeLessThan(0.5);
  });
});
