/** When the control lane wakes a lane: always after the last command, and seldom while there is much to say. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { LaneStart } from '../../src/lane.ts';
import { LanePort } from '../../src/lane-port.ts';
import { wake } from '../../src/native/addon.ts';
import { PlayedLane, playedLanes } from './support/played-lane.ts';

vi.mock('node:worker_threads', async (original) => {
  const { PlayedLane: Worker } = await import('./support/played-lane.ts');
  return { ...(await original<typeof import('node:worker_threads')>()), Worker };
});

vi.mock('../../src/native/addon.ts', () => ({ wake: vi.fn() }));

const wakes = vi.mocked(wake);
const START = { index: 0, tunFd: -1, udp4Fd: -1, udp6Fd: -1, page: new SharedArrayBuffer(8) } as LaneStart;
const LANE_FD = 99;
let port: LanePort;

beforeEach(async () => {
  playedLanes.length = 0;
  PlayedLane.whenStarted = (lane) => lane.tell({ type: 'ready', wakeFd: LANE_FD, aead: 'openssl' });
  PlayedLane.whenClosed = (lane) => lane.end();
  port = new LanePort(START, () => undefined, {});
  await port.started;
  await turn();
  wakes.mockClear();
});

afterEach(async () => {
  await port.close();
});

const post = (keypair: number): void => port.post({ type: 'retire', peer: 0, keypair });

test('a lane is woken once for all commands of a task', async () => {
  for (let command = 0; command < 100; command += 1) post(command);
  expect(wakes).not.toHaveBeenCalled();
  await turn();
  await turn();
  expect(wakes.mock.calls).toEqual([[LANE_FD]]);
});

test('a lane that was just woken is woken again when what is at hand is done, whatever came in between', async () => {
  vi.spyOn(performance, 'now').mockReturnValue(5_000);
  post(0);
  await null;
  expect(wakes).toHaveBeenCalledTimes(1);
  for (let command = 1; command < 100; command += 1) {
    post(command);
    await null;
  }
  expect(wakes).toHaveBeenCalledTimes(1);
  await turn();
  await turn();
  expect(wakes).toHaveBeenCalledTimes(2);
  vi.restoreAllMocks();
});

test('a long task wakes the lane each millisecond, and no command stays without a wake-up', async () => {
  let nowMs = 5_000;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  for (let command = 0; command < 400; command += 1) {
    post(command);
    await null;
    nowMs += 0.25;
  }
  expect(wakes.mock.calls.length).toBeGreaterThanOrEqual(99);
  expect(wakes.mock.calls.length).toBeLessThanOrEqual(101);
  const before = wakes.mock.calls.length;
  post(400);
  await turn();
  await turn();
  expect(wakes.mock.calls.length).toBeGreaterThan(before);
  vi.restoreAllMocks();
});
