/** What is shed as resident memory comes near its cap, reaches it, and falls again. */
import { describe, expect, it } from 'vitest';
import type { Logger } from '../../src/control/log.ts';
import { handshakesMaxAt, memoryLevel, shallCollect } from '../../src/memory/shedding.ts';
import { MemoryWatch } from '../../src/memory/watch.ts';

const CAP = 100e6;

describe('the level of memory', () => {
  it.each([
    ['easy', 89e6, 'easy'],
    ['easy', 90e6, 'near'],
    ['easy', 100e6, 'over'],
    ['near', 86e6, 'near'],
    ['near', 84e6, 'easy'],
    ['near', 100e6, 'over'],
    ['over', 96e6, 'over'],
    ['over', 94e6, 'near'],
    ['over', 84e6, 'easy'],
  ] as const)('from %s with %d bytes is %s', (before, resident, level) => {
    expect(memoryLevel(before, resident, CAP)).toBe(level);
  });

  it('shortens the handshake queue step by step, never below the number that asks for cookies', () => {
    expect([handshakesMaxAt('easy'), handshakesMaxAt('near'), handshakesMaxAt('over')]).toEqual([4_096, 1_024, 512]);
  });

  it.each([
    ['easy', 'easy', 1e9, false],
    ['easy', 'near', 0, true],
    ['near', 'near', 1e9, false],
    ['near', 'over', 0, true],
    ['over', 'over', 59_999, false],
    ['over', 'over', 60_000, true],
    ['over', 'near', 1e9, false],
  ] as const)('from %s to %s, %d ms after the last time, collects: %s', (before, level, sinceMs, collects) => {
    expect(shallCollect(before, level, sinceMs)).toBe(collects);
  });
});

describe('a watch', () => {
  function watched(residents: readonly number[]): { watch: MemoryWatch; done: string[] } {
    const done: string[] = [];
    const silent = (): void => undefined;
    const log: Logger = {
      debug: silent,
      error: silent,
      info: (text) => done.push(`info: ${text}`),
      warn: (text) => done.push(`warn: ${text}`),
    };
    const collect = (): void => void done.push('collect');
    const limitHandshakes = (max: number): void => void done.push(`at most ${max}`);
    const watch = new MemoryWatch(CAP, { collect, limitHandshakes, log });
    for (const [second, resident] of residents.entries()) watch.check(resident, second * 1_000);
    return { watch, done };
  }

  it('does nothing while there is room', () => {
    const { watch, done } = watched([80e6, 89e6, 85e6]);
    expect(done).toEqual([]);
    expect(watch.crossingsCount).toBe(0);
  });

  it('sheds in its order and says so once per crossing, not each second', () => {
    const { watch, done } = watched([80e6, 91e6, 92e6, 93e6, 101e6, 102e6, 103e6]);
    expect(done).toEqual([
      'at most 1024',
      expect.stringMatching(/^warn: memory is near its cap: garbage is collected, and at most 1024/),
      'collect',
      'at most 512',
      expect.stringMatching(/^warn: memory is at its cap: /),
      'collect',
    ]);
    expect(watch.crossingsCount).toBe(2);
  });

  it('takes everything back when there is room again, and counts only the ways up', () => {
    const { watch, done } = watched([101e6, 80e6, 91e6]);
    expect(done.filter((entry) => entry.startsWith('at most'))).toEqual([
      'at most 512',
      'at most 4096',
      'at most 1024',
    ]);
    expect(done).toContainEqual(expect.stringMatching(/^info: memory is below its cap again/));
    expect(watch.crossingsCount).toBe(2);
  });

  it('at its cap collects again once a minute', () => {
    const { done } = watched(Array.from({ length: 122 }, () => 101e6));
    expect(done.filter((entry) => entry === 'collect')).toHaveLength(3);
  });
});
