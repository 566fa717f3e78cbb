/** Books as native code keeps them: every nanosecond in one activity, io counted, right also after a verb that threw. */
import { afterEach, describe, expect, test } from 'vitest';
import { ACTIVITIES, ACTIVITY } from '../../src/ledger/catalog.ts';
import * as native from '../../src/native/addon.ts';
import { BOOKS, USAGE } from '../../src/native/layout.ts';
import { openTestLane, type TestLane } from './support.ts';

let lane: TestLane;
afterEach(() => native.closeLane(lane.handle));

const nowNs = (): number => Number(process.hrtime.bigint());
const cell = (activity: number): number => lane.books[BOOKS.ACTIVITY_NS + activity] ?? Number.NaN;
const bookedNs = (): number => ACTIVITIES.reduce((sum, { id }) => sum + cell(id), 0);

describe('books', () => {
  test('start in USER_CONTROL with nothing booked', () => {
    const before = nowNs();
    lane = openTestLane();
    expect(lane.books[BOOKS.OPENED_NS]).toBe(lane.books[BOOKS.NOW_NS]);
    expect(lane.books[BOOKS.OPENED_NS]).toBeGreaterThanOrEqual(before);
    expect(lane.books[BOOKS.OPENED_NS]).toBeLessThanOrEqual(nowNs());
    expect(lane.books[BOOKS.ACTIVITY]).toBe(ACTIVITY.USER_CONTROL);
    expect(bookedNs()).toBe(0);
  });

  test('sum to the time since they were opened, exactly', () => {
    lane = openTestLane();
    for (let i = 0; i < 1000; i++) native.book(lane.handle, i % ACTIVITIES.length);
    expect(bookedNs()).toBe((lane.books[BOOKS.NOW_NS] ?? 0) - (lane.books[BOOKS.OPENED_NS] ?? 0));
    expect(bookedNs()).toBeGreaterThan(0);
  });

  test('a verb books its own activity, and what follows on the one named', () => {
    lane = openTestLane();
    native.wait(lane.handle, 20, 0, ACTIVITY.USER_RX_HISTORY);
    expect(cell(ACTIVITY.KERN_WAIT)).toBeGreaterThan(19e6);
    expect(lane.books[BOOKS.WAIT_IO]).toBe(1);
    expect(lane.books[BOOKS.ACTIVITY]).toBe(ACTIVITY.USER_RX_HISTORY);
    const until = nowNs() + 5e6;
    while (nowNs() < until);
    native.book(lane.handle, ACTIVITY.USER_CONTROL);
    expect(cell(ACTIVITY.USER_RX_HISTORY)).toBeGreaterThan(4.9e6);
  });

  test('what was waited is settled, as sleep or as a wait for a core, when the lane is woken', () => {
    lane = openTestLane();
    const sleepNs = (): number => lane.books[BOOKS.SLEEP_NS] ?? Number.NaN;
    const coreWaitNs = (): number => lane.books[BOOKS.CORE_WAIT_NS + ACTIVITY.KERN_WAIT] ?? Number.NaN;
    native.wait(lane.handle, 5, 0, ACTIVITY.USER_CONTROL);
    native.wait(lane.handle, 5, 0, ACTIVITY.USER_CONTROL);
    expect(sleepNs() + coreWaitNs()).toBe(0);
    native.wake(lane.wakeFd);
    expect(native.wait(lane.handle, 20, 0, ACTIVITY.USER_CONTROL)).toBe(1);
    // Of what was no sleep, the thread was awake and waited for a core.
    expect(sleepNs() + coreWaitNs()).toBeGreaterThanOrEqual(10e6);
    expect(sleepNs() + coreWaitNs()).toBeLessThanOrEqual(cell(ACTIVITY.KERN_WAIT));
  });

  test('they are settled without a wake too, after a while', () => {
    lane = openTestLane();
    for (let wait = 0; wait < 6; wait += 1) native.wait(lane.handle, 5, 0, ACTIVITY.USER_CONTROL);
    expect(lane.books[BOOKS.SLEEP_NS]).toBeGreaterThan(0);
  });

  test.each([
    ['readTun', ACTIVITY.KERN_READ_TUN, () => native.readTun(lane.handle, 0, 1, 4096, 70_000, 1, 1)],
    ['receiveUdp', ACTIVITY.KERN_RECV_UDP, () => native.receiveUdp(lane.handle, 4, 0, 1, 4096, 70_000, 1)],
    ['writeTun', ACTIVITY.KERN_WRITE_TUN, () => native.writeTun(lane.handle, 2, 1, 1)],
    ['sendUdp', ACTIVITY.KERN_SEND_UDP, () => native.sendUdp(lane.handle, 2, 1, 1)],
    ['seal', ACTIVITY.USER_ENCRYPT, () => native.seal(lane.handle, 2, 1, 1)],
    ['unseal', ACTIVITY.USER_DECRYPT, () => native.unseal(lane.handle, 2, 1, 1)],
  ])('%s that throws has booked its time and switched on', (_, activity, call) => {
    lane = openTestLane();
    expect(call).toThrow();
    expect(cell(activity)).toBeGreaterThan(0);
    expect(lane.books[BOOKS.ACTIVITY]).toBe(1);
    expect(bookedNs()).toBe((lane.books[BOOKS.NOW_NS] ?? 0) - (lane.books[BOOKS.OPENED_NS] ?? 0));
  });

  test('a verb with an impossible next activity changes nothing', () => {
    lane = openTestLane();
    const before = lane.books.slice();
    expect(() => native.book(lane.handle, ACTIVITIES.length)).toThrow(RangeError);
    expect(() => native.seal(lane.handle, 0, 0, -1)).toThrow(RangeError);
    expect(() => native.wait(lane.handle, 0, 0, 0.5)).toThrow(RangeError);
    expect(lane.books).toEqual(before);
  });

  test('switched off, they count io and refresh the clock in wait and book only', () => {
    lane = openTestLane({ bookTime: false });
    const opened = lane.books[BOOKS.OPENED_NS] ?? 0;
    native.unseal(lane.handle, 0, 0, 1);
    expect(lane.books[BOOKS.NOW_NS]).toBe(opened);
    native.wait(lane.handle, 1, 0, 1);
    const waited = lane.books[BOOKS.NOW_NS] ?? 0;
    expect(waited).toBeGreaterThan(opened);
    native.book(lane.handle, 2);
    expect(lane.books[BOOKS.NOW_NS]).toBeGreaterThan(waited);
    expect(bookedNs()).toBe(0);
    expect(lane.books.subarray(BOOKS.SLEEP_NS).every((ns) => ns === 0)).toBe(true);
    expect(lane.books[BOOKS.WAIT_IO]).toBe(1);
  });
});

test('wait sleeps fractions of a millisecond, and wakes at once for a wake', () => {
  lane = openTestLane();
  const start = nowNs();
  expect(native.wait(lane.handle, 0.5, 0, 11)).toBe(0);
  expect(nowNs() - start).toBeGreaterThan(0.5e6);
  native.wake(lane.wakeFd);
  native.wake(lane.wakeFd);
  expect(native.wait(lane.handle, -1, 0, 11)).toBe(1);
  expect(native.wait(lane.handle, 0, 0, 11)).toBe(0);
});

test('threadUsage tells the clocks, CPU time, waiting and faults of this thread', () => {
  lane = openTestLane();
  const [first, second] = [new Float64Array(USAGE.CELLS), new Float64Array(USAGE.CELLS)];
  native.threadUsage(first);
  const until = nowNs() + 60e6;
  while (nowNs() < until);
  native.threadUsage(second);
  const grown = (index: number): number => (second[index] ?? 0) - (first[index] ?? 0);
  expect(grown(USAGE.MONOTONIC_NS)).toBeGreaterThan(60e6);
  // The clocks are read one after the other: the thread may lose its core in between.
  expect(Math.abs(grown(USAGE.BOOT_NS) - grown(USAGE.MONOTONIC_NS))).toBeLessThan(100e6);
  expect(Math.abs((first[USAGE.REAL_NS] ?? 0) - Date.now() * 1e6)).toBeLessThan(5e9);
  expect(grown(USAGE.CPU_NS)).toBeGreaterThan(0);
  expect(grown(USAGE.CPU_NS)).toBeLessThan(grown(USAGE.MONOTONIC_NS) + 1e6);
  const usage = grown(USAGE.USER_NS) + grown(USAGE.SYSTEM_NS);
  // getrusage() counts whole ticks of the scheduler, 4 ms at 250 Hz, the CPU clock each nanosecond.
  expect(Math.abs(usage - grown(USAGE.CPU_NS))).toBeLessThan(10e6);
  expect(first[USAGE.MINOR_FAULTS]).toBeGreaterThan(0);
  expect(() => native.threadUsage(new Float64Array(15))).toThrow(RangeError);
});
