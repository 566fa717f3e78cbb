/** The length of a device's TUN queues: who asks, who sets it, and who keeps it. */
import { expect, test } from 'vitest';
import { TunQueue } from '../src/tun-queue.ts';

/** An interface with a queue length, as the kernel has it. */
class Link {
  packets = 500;
  sets = 0;

  readonly link = (packets: number | null): number => {
    if (packets !== null) {
      this.packets = packets;
      this.sets += 1;
    }
    return this.packets;
  };
}

test('the length follows the greatest wish of all lanes', () => {
  const { link, ...state } = new Link();
  expect(state.packets).toBe(500);
  const queue = new TunQueue({ lanes: 2, fixed: null, link });
  expect(queue.ask(0, 12)).toBe(null);
  expect(queue.ask(1, 40)).toBe(40);
  expect(queue.ask(0, 500)).toBe(500);
});

test('who sets another length keeps it', () => {
  const link = new Link();
  const queue = new TunQueue({ lanes: 1, fixed: null, link: link.link });
  expect(queue.ask(0, 12)).toBe(12);
  link.packets = 1_000;
  expect(queue.ask(0, 500)).toBe(null);
  expect(queue.ask(0, 12)).toBe(null);
  expect(link.packets).toBe(1_000);
});

test('a fixed length is set once and stays', () => {
  const link = new Link();
  const queue = new TunQueue({ lanes: 1, fixed: 64, link: link.link });
  expect(link.packets).toBe(64);
  expect(queue.ask(0, 12)).toBe(null);
  expect(link).toMatchObject({ packets: 64, sets: 1 });
});
