/** What histories cost: memory of the arena, and the tables beside it. */
import { describe, expect, it, vi } from 'vitest';
import { DelayedCopies } from '../../src/history/delayed-copies.ts';
import { ParityDecoder } from '../../src/history/fec/decoder.ts';
import { ParityEncoder } from '../../src/history/fec/encoder.ts';
import { KeptDatagrams } from '../../src/history/fec/kept.ts';
import { GapWatch } from '../../src/history/gap-watch.ts';
import { InOrder } from '../../src/history/in-order.ts';
import { SentRing } from '../../src/history/sent-ring.ts';
import {
  HOLD_BYTES,
  historyBytesOf,
  historyMemoryOf,
  NO_HISTORY,
  RING_BYTES_DEFAULT,
  TABLE_BYTES,
} from '../../src/history/settings.ts';
import { HistoryLane } from '../support/history-lane.ts';

/** Bytes of the typed arrays that are made meanwhile. */
function bytesOf(make: () => unknown): number {
  let bytes = 0;
  const counting = (name: 'Float64Array' | 'Int32Array' | 'Int16Array' | 'Int8Array' | 'Uint8Array'): void => {
    const construct = (target: Float64ArrayConstructor, args: unknown[]): object => {
      const made = Reflect.construct(target, args) as Float64Array;
      if (typeof args[0] === 'number') bytes += made.byteLength;
      return made;
    };
    vi.stubGlobal(name, new Proxy(globalThis[name] as unknown as Float64ArrayConstructor, { construct }));
  };
  for (const name of ['Float64Array', 'Int32Array', 'Int16Array', 'Int8Array', 'Uint8Array'] as const) counting(name);
  make();
  vi.unstubAllGlobals();
  return bytes;
}

describe('tables of histories', () => {
  const lane = new HistoryLane({ settings: { fec: { mode: 'on', data: 10, parity: 2, delayMs: 20 } } });

  it.each([
    ['gaps', () => [new GapWatch(), new GapWatch()]],
    ['ring', () => new SentRing(0, RING_BYTES_DEFAULT)],
    ['order', () => new InOrder(0)],
    ['copies', () => new DelayedCopies()],
    [
      'parity',
      () => [new ParityEncoder(lane.context), new ParityDecoder(lane.context, lane.history), new KeptDatagrams(0, 1)],
    ],
  ] as const)('are as large as is reckoned: %s', (name, make) => {
    const bytes = bytesOf(make);
    expect(bytes).toBeGreaterThan(TABLE_BYTES[name] * 0.9);
    expect(bytes).toBeLessThan(TABLE_BYTES[name]);
  });

  it('count as memory, but not as part of the arena', () => {
    const settings = { ...NO_HISTORY, retransmitMs: 150, inOrder: 'tcp' as const };
    expect(historyBytesOf([settings])).toBe(RING_BYTES_DEFAULT + HOLD_BYTES);
    const { gaps, ring, order } = TABLE_BYTES;
    expect(historyMemoryOf([settings, settings])).toBe(2 * (RING_BYTES_DEFAULT + HOLD_BYTES + gaps + ring + order));
    expect(historyMemoryOf([])).toBe(0);
  });
});

describe('a change of one peer', () => {
  it('gives up what is not wanted any more before it takes more of something else', () => {
    const lane = new HistoryLane({ settings: { inOrder: 'all', ringBytes: 8 << 20 } });
    expect(lane.cell('RING_BYTES')).toBe(8 << 20);
    lane.set({ ringBytes: 15 << 20 });
    expect(lane.cell('RING_BYTES')).toBe(15 << 20);
    lane.set({ inOrder: 'all', ringBytes: 8 << 20 });
    expect([lane.cell('RING_BYTES'), lane.history.rx.order === null]).toEqual([8 << 20, false]);
  });
});
