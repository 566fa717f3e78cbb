/** What lanes share of a keypair, under two threads that fight for it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import { acceptCounter, REPLAY_NEW, REPLAY_WINDOW_WORDS } from '../../src/protocol/replay-window.ts';
import { KeypairMemory, NEWEST_RECEIVED } from '../../src/tables/keypair-memory.ts';
import { transpile } from '../ledger/support/transpile.ts';

const folder = mkdtempSync(join(tmpdir(), 'gigatun-keypair-memory-'));
afterAll(() => rmSync(folder, { recursive: true }));
const source = fileURLToPath(new URL('../../src', import.meta.url));
const memoryUrl = transpile(join(source, 'tables/keypair-memory.ts'), source, folder).href;
const windowUrl = transpile(join(source, 'protocol/replay-window.ts'), source, folder).href;

/** Each thread waits for the other at a gate, so that they truly run at once. */
const THREAD = `
const { workerData, parentPort } = require('node:worker_threads');
(async () => {
  const { KeypairMemory, NEWEST_RECEIVED } = await import(workerData.memoryUrl);
  const { acceptCounter } = await import(workerData.windowUrl);
  const keypair = new KeypairMemory(workerData.memory);
  const gate = new Int32Array(workerData.gate);
  const threads = workerData.threads;
  const inside = new Int32Array(workerData.gate, 4, 1);
  Atomics.add(gate, 0, 1);
  while (Atomics.load(gate, 0) < threads);
  const result = [];
  if (workerData.job === 'reserve') for (let i = 0; i < 20000; i++) result.push(keypair.reserve(1 + (i % 5)), 1 + (i % 5));
  if (workerData.job === 'lock') {
    let clashes = 0;
    for (let i = 0; i < 20000; i++) {
      keypair.lock();
      if (Atomics.add(inside, 0, 1) !== 0) clashes += 1;
      keypair.counters[0] += 1;
      Atomics.sub(inside, 0, 1);
      keypair.unlock();
    }
    result.push(clashes);
  }
  if (workerData.job === 'receive') {
    let fresh = 0;
    for (let counter = 0; counter < 20000; counter++) {
      keypair.lock();
      if (acceptCounter(keypair.window, keypair.counters, NEWEST_RECEIVED, counter) === 0) fresh += 1;
      keypair.unlock();
    }
    result.push(fresh);
  }
  parentPort.postMessage(result);
})();
`;

function race(job: 'reserve' | 'lock' | 'receive', memory: SharedArrayBuffer): Promise<number[][]> {
  const gate = new SharedArrayBuffer(8);
  const threads = 2;
  const workerData = { job, memory, gate, threads, memoryUrl, windowUrl };
  const runOne = (): Promise<number[]> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(THREAD, { eval: true, workerData });
      worker.once('message', resolve);
      worker.once('error', reject);
    });
  return Promise.all(Array.from({ length: threads }, runOne));
}

describe('the memory of a keypair', () => {
  it('starts with counter 0, nothing received and the lock free', () => {
    const keypair = new KeypairMemory(KeypairMemory.allocate());
    expect(keypair.reserve(3)).toBe(0);
    expect(keypair.reserve(1)).toBe(3);
    expect(keypair.reserve(0)).toBe(4);
    expect(keypair.counters[NEWEST_RECEIVED]).toBe(0);
    keypair.lock();
    keypair.unlock();
  });

  it('keeps counters, lock and window apart', () => {
    const memory = KeypairMemory.allocate();
    const keypair = new KeypairMemory(memory);
    expect(keypair.window).toHaveLength(REPLAY_WINDOW_WORDS);
    keypair.window.fill(-1);
    expect([...keypair.counters]).toEqual([0, 0, 0]);
    keypair.lock();
    keypair.unlock();
    keypair.counters.fill(-1);
    expect(keypair.window.every((word) => word === -1)).toBe(true);
    keypair.lock();
    keypair.unlock();
  });

  it('is one for all who hold it', () => {
    const memory = KeypairMemory.allocate();
    const [here, there] = [new KeypairMemory(memory), new KeypairMemory(memory)];
    expect(here.reserve(10)).toBe(0);
    expect(there.reserve(1)).toBe(10);
    expect(acceptCounter(here.window, here.counters, NEWEST_RECEIVED, 7)).toBe(REPLAY_NEW);
    expect(acceptCounter(there.window, there.counters, NEWEST_RECEIVED, 7)).not.toBe(REPLAY_NEW);
  });

  it('never gives a counter twice to two threads, and leaves none out', async () => {
    const memory = KeypairMemory.allocate();
    const runs = (await race('reserve', memory)).flatMap((result) =>
      Array.from({ length: result.length / 2 }, (_, run) => ({ first: result[2 * run], count: result[2 * run + 1] })),
    );
    runs.sort((left, right) => left.first - right.first);
    let expected = 0;
    const misplaced = runs.filter(({ first, count }) => {
      const wrong = first !== expected;
      expected = first + count;
      return wrong;
    });
    expect(misplaced).toEqual([]);
    expect(runs).toHaveLength(40_000);
    expect(new KeypairMemory(memory).counters[0]).toBe(expected);
  });

  it('is held by one thread at a time', async () => {
    const memory = KeypairMemory.allocate();
    expect(await race('lock', memory)).toEqual([[0], [0]]);
    expect(new KeypairMemory(memory).counters[0]).toBe(40_000);
  });

  it('lets each counter be new once when two threads receive it', async () => {
    const fresh = (await race('receive', KeypairMemory.allocate())).flat();
    expect(fresh[0] + fresh[1]).toBe(20_000);
  });
});
