/** The books against the kernel: a lane without devices seals, waits and controls, and its balance must come out. */
import { describe, expect, it } from 'vitest';
import { type Balance, balanceOf } from '../../src/ledger/balance.ts';
import { ACTIVITY } from '../../src/ledger/catalog.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { openPage } from '../../src/ledger/page.ts';
import { type LaneSnapshot, readPage } from '../../src/ledger/snapshot.ts';
import { book, closeLane, openLane, seal, setKey, threadUsage, wait } from '../../src/native/addon.ts';
import { SEAL } from '../../src/native/layout.ts';
import type { LaneHandle } from '../../src/native/types.ts';

const MESSAGES = 64;
const PAYLOAD_LENGTH = 1424;
const SLOT_BYTES = 2048;
const PAYLOADS_OFFSET = 8192;

interface Lane {
  readonly handle: LaneHandle;
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
  const { handle } = openLane({ arena, books: ledger.books, ...none, aead: 'openssl', bookTime });
  threadUsage(ledger.usage);
  ledger.begin();
  setKey(handle, 0, new Uint8Array(32));
  const snapshot = (): LaneSnapshot => {
    book(handle, ACTIVITY.USER_CONTROL);
    threadUsage(ledger.usage);
    ledger.commit();
    return readPage(page, 'lane 0');
  };
  try {
    use({ handle, ledger, snapshot });
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

  it('agree with CPU time and run-queue wait on bulk work, within 2 % in the best of 5 runs', () => {
    const runs: Balance[] = [];
    for (let run = 0; run < 5; run++) {
      withLane(true, (lane) => {
        sealBatches(lane, 500);
        runs.push(balanceOf([lane.snapshot()]));
      });
    }
    const ratios = runs.map(({ busyDifferenceRatio }) => Math.abs(busyDifferenceRatio ?? 1));
    expect(Math.min(...ratios)).toBeLessThan(0.02);
    expect(runs[0]?.runQueueWaitNs).not.toBeNull();
  });

  it('put the work where it was done', () => {
    withLane(true, (lane) => {
      sealBatches(lane, 200);
      waitOften(lane, 10, 2);
      const { activitiesNs } = lane.snapshot();
      expect(activitiesNs.USER_ENCRYPT).toBeGreaterThan(10 * activitiesNs.USER_TUN_TO_UDP);
      expect(activitiesNs.KERN_WAIT).toBeGreaterThan(20e6);
      expect(activitiesNs.KERN_WRITE_TUN).toBe(0);
    });
  });

  it('show the CPU time of waits as the difference: many that do not sleep are nearly all of it', () => {
    withLane(true, (lane) => {
      waitOften(lane, 20_000, 0);
      const snapshot = lane.snapshot();
      const balance = balanceOf([snapshot]);
      expect(balance.busyDifferenceNs).toBeGreaterThan(snapshot.activitiesNs.KERN_WAIT / 2);
      expect(balance.busyDifferencePerWaitNs).toBeGreaterThan(50);
    });
  });

  it('book nothing and still tell wall time when booking is off', () => {
    withLane(false, (lane) => {
      sealBatches(lane, 10);
      const snapshot = lane.snapshot();
      expect(balanceOf([snapshot]).lanesCount).toBe(0);
      expect(snapshot.wallNs).toBeGreaterThan(0);
    });
  });
});
