/** What waits on a path, by what probes tell of it, in fake time. */
import { expect, it } from 'vitest';
import { type End, TwoEnds } from './support/two-ends.ts';

it('is what waits on the way there, and nothing of what waits on the way back', () => {
  const LIMITED = { bytesPerMs: 6_000, queueBytesMax: 400_000 };
  const world = new TwoEnds([LIMITED, LIMITED], [{ mode: 'weighted' }, { mode: 'follow', isPassive: true }]);
  const [a, b] = world.ends as [End, End];
  a.configure([0, 1]);
  world.run(2_000);
  let queueMs = 0;
  world.runWith(4_000, 1, () => {
    a.send(100);
    for (let datagram = 0; datagram < 5; datagram += 1) b.send(1_400);
    queueMs = Math.max(queueMs, ...a.manager.lanePaths(0).paths.map((path) => path.queueMs));
  });
  expect(Math.max(...a.manager.figures().map(({ rttMs }) => rttMs ?? 0))).toBeGreaterThan(50);
  expect(queueMs).toBeLessThan(3);
});
