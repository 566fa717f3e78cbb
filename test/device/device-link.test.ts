/** When a device looks at its interface: the kernel is played, the clock is fake. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DeviceLink } from '../../src/device-link.ts';
import { keptLog } from '../control/support/fakes.ts';

const kernel = vi.hoisted(() => ({ up: false, asked: 0 }));

vi.mock('../../src/native/addon.ts', () => ({
  linkInfo: () => {
    kernel.asked += 1;
    return { up: kernel.up, mtu: 1_420 };
  },
}));

let events: string[];
let link: DeviceLink;

beforeEach(() => {
  vi.useFakeTimers();
  Object.assign(kernel, { up: false, asked: 0 });
  events = [];
  link = new DeviceLink({
    ...{ tunFd: 3, name: 'wg0', mtu: 1_420, log: keptLog().log },
    mtuChanged: () => events.push('mtu'),
    wentUp: () => events.push('up'),
    wentDown: () => events.push('down'),
  });
});

afterEach(() => {
  link.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test('an interface that is down when links have changed is seen to go up wherever it is, soon', () => {
  link.heard();
  vi.advanceTimersByTime(400);
  expect(events).toEqual([]);
  kernel.up = true;
  vi.advanceTimersByTime(60);
  expect(events).toEqual(['up']);
  const { asked } = kernel;
  vi.advanceTimersByTime(60_000);
  expect(kernel.asked).toBe(asked);
});

test('one that stays down is looked at for ten seconds, and once when it is up', () => {
  link.heard();
  link.heard();
  vi.advanceTimersByTime(60_000);
  expect(kernel.asked).toBeGreaterThan(100);
  expect(kernel.asked).toBeLessThan(250);
  kernel.up = true;
  link.heard();
  const { asked } = kernel;
  link.heard();
  vi.advanceTimersByTime(60_000);
  expect(kernel.asked).toBe(asked + 1);
});
