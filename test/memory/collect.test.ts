/** Garbage is collected when asked for, on the main thread and in a worker. */
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { collectGarbage, enableCollection } from '../../src/memory/collect.ts';

enableCollection();

it('collects what nothing holds any more', async () => {
  const held = new WeakRef(makeGarbage());
  // A WeakRef holds what it was made for until the present task ends.
  await new Promise((resolve) => setTimeout(resolve));
  collectGarbage();
  expect(held.deref()).toBeUndefined();
});

it('gives workers that start from then on the means to do the same', async () => {
  const worker = new Worker("require('node:worker_threads').parentPort.postMessage(typeof globalThis.gc)", {
    eval: true,
  });
  const type = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
  expect(type).toBe('function');
});

function makeGarbage(): object {
  return { held: new Array(1_000).fill(0) };
}
