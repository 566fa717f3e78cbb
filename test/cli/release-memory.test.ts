/** Giving memory back after the start: what nobody holds goes, and the program goes on. */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { releaseMemory } from '../../src/cli/release-memory.ts';

it('what nobody holds any more is collected, twice in a row, too', async () => {
  const held: WeakRef<object>[] = [];
  const hold = (): void => void held.push(new WeakRef({ text: 'x'.repeat(1_000) }));
  for (let round = 0; round < 2; round += 1) {
    hold();
    await turn();
    releaseMemory();
    await turn();
    await turn();
  }
  expect(held.map((reference) => reference.deref())).toEqual([undefined, undefined]);
});
