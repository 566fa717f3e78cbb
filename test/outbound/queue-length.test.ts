/** How long the TUN queue should be, as traffic changes. */
import { describe, expect, it } from 'vitest';
import {
  QUEUE_BYTES,
  QUEUE_PACKETS_MAX,
  QUEUE_PACKETS_MIN,
  QueueLength,
  queueLengthFor,
} from '../../src/outbound/queue-length.ts';

const WINDOW_NS = 2e7;
const SUPER_PACKET = 65_000;

/** Lets one window pass with so many reads of so many bytes each; returns what is asked for. */
function pass(queue: QueueLength, window: number, reads: number, bytes: number): number {
  queue.note(reads, reads * bytes);
  return queue.wanted((window + 1) * WINDOW_NS);
}

describe('the length of the TUN queue', () => {
  it('holds about as many bytes, whatever a read brings, within its limits', () => {
    expect(queueLengthFor(SUPER_PACKET)).toBe(QUEUE_PACKETS_MIN);
    expect(queueLengthFor(32_768) * 32_768).toBe(QUEUE_BYTES);
    expect(queueLengthFor(1_420)).toBe(QUEUE_PACKETS_MAX);
    expect(queueLengthFor(0)).toBe(QUEUE_PACKETS_MAX);
  });

  it('is short under bulk traffic, and long again after it', () => {
    const queue = new QueueLength();
    expect(pass(queue, 0, 200, SUPER_PACKET)).toBe(QUEUE_PACKETS_MIN);
    expect(pass(queue, 1, 200, SUPER_PACKET)).toBe(0);
    expect(queue.packets).toBe(QUEUE_PACKETS_MIN);
    expect(pass(queue, 2, 0, 0)).toBe(QUEUE_PACKETS_MAX);
  });

  it('stays long for small packets and for a few large ones', () => {
    const queue = new QueueLength();
    expect(pass(queue, 0, 5_000, 100)).toBe(0);
    expect(pass(queue, 1, 31, SUPER_PACKET)).toBe(0);
    expect(queue.packets).toBe(QUEUE_PACKETS_MAX);
  });

  it('changes only by a factor of two, and after a window', () => {
    const queue = new QueueLength();
    const bytes = QUEUE_BYTES / 100;
    queue.note(100, 100 * bytes);
    expect(queue.wanted(WINDOW_NS - 1)).toBe(0);
    expect(queue.wanted(WINDOW_NS)).toBe(100);
    expect(pass(queue, 1, 100, bytes * 1.9)).toBe(0);
    expect(pass(queue, 2, 100, bytes / 1.9)).toBe(0);
    expect(pass(queue, 3, 100, bytes * 2.1)).toBe(48);
  });
});
