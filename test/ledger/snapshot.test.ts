import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ACTIVITIES, COUNTERS } from '../../src/ledger/catalog.ts';
import { cellsOf, openPage, PAGE, sequenceOf } from '../../src/ledger/page.ts';
import { difference, type LaneSnapshot, readPage, sumSnapshots } from '../../src/ledger/snapshot.ts';
import { DROP_REASONS } from '../../src/packet/drop-reason.ts';
import { anyBooks, deviceWith, laneWith } from './support/books.ts';
import { transpile } from './support/transpile.ts';

const folder = mkdtempSync(join(tmpdir(), 'gigatun-ledger-'));
afterAll(() => rmSync(folder, { recursive: true }));

const source = fileURLToPath(new URL('../../src', import.meta.url));
const ledgerUrl = transpile(join(source, 'ledger/ledger.ts'), source, folder).href;

/** Commits books in which every cell holds the same number, one more each time, until the flag is set. */
const WRITER = `
const { workerData, parentPort } = require('node:worker_threads');
(async () => {
  const { Ledger } = await import(workerData.ledgerUrl);
  const ledger = new Ledger(workerData.page);
  const stop = new Int32Array(workerData.stop);
  for (let n = 1; Atomics.load(stop, 0) === 0; n++) {
    ledger.books.fill(n);
    ledger.counts.fill(n);
    ledger.drops.fill(n);
    ledger.usage.fill(n);
    ledger.commit();
    if (n === 1) parentPort.postMessage('committed');
    for (let spin = n % 1000; spin > 0; spin--) Atomics.load(stop, 0);
  }
})();
`;

/** Opens a commit, lets the reader run into it, and ends it later. */
const SLOW_WRITER = `
const { workerData, parentPort } = require('node:worker_threads');
const sequence = new Int32Array(workerData.page, 0, 1);
const cells = new Float64Array(workerData.page, 8);
Atomics.add(sequence, 0, 1);
cells.fill(1, 0, 10);
parentPort.postMessage('half written');
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 40);
cells.fill(1);
Atomics.add(sequence, 0, 1);
`;

function start(script: string, workerData: object): { worker: Worker; ready: Promise<unknown> } {
  const worker = new Worker(script, { eval: true, workerData });
  const ready = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  return { worker, ready };
}

/** Every figure of a snapshot that a commit of the WRITER sets to its number. */
function figures(lane: LaneSnapshot): number[] {
  const { activitiesNs, coreWaitNs, counts, drops, usage, commitsCount, sleepNs } = lane;
  const groups = [activitiesNs, coreWaitNs, counts, drops, usage, { commitsCount, sleepNs }];
  return groups.flatMap((group) => Object.values(group));
}

describe('reading a page', () => {
  it('gives whole commits only, in order, while another thread commits', { timeout: 60_000 }, async () => {
    const page = openPage();
    const stop = new SharedArrayBuffer(4);
    const { worker, ready } = start(WRITER, { page, stop, ledgerUrl });
    await ready;
    const seen: number[] = [];
    // As many reads as it takes to have met a hundred commits, however the two threads get their cores.
    for (let commits = 0; seen.length < 10_000 || commits < 100; ) {
      const [number = Number.NaN, ...others] = new Set(figures(readPage(page, 'lane 0')));
      if (others.length > 0) expect.fail(`a torn commit: ${[number, ...others].join(', ')}`);
      if (number !== seen.at(-1)) commits++;
      seen.push(number);
    }
    Atomics.store(new Int32Array(stop), 0, 1);
    await new Promise((resolve) => worker.once('exit', resolve));
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('waits for a commit that is under way', async () => {
    const page = openPage();
    const { worker, ready } = start(SLOW_WRITER, { page });
    await ready;
    expect(new Set(figures(readPage(page, 'lane 0')))).toEqual(new Set([1]));
    await new Promise((resolve) => worker.once('exit', resolve));
  });

  it('gives up with an INTERNAL error when a commit never ends', () => {
    const page = openPage();
    Atomics.store(sequenceOf(page), 0, 7);
    expect(() => readPage(page, 'lane 3')).toThrowError(
      expect.objectContaining({ code: 'INTERNAL', message: expect.stringContaining('lane 3') }),
    );
  });

  it('does not mind that the sequence word wraps to negative numbers', () => {
    const page = openPage();
    Atomics.store(sequenceOf(page), 0, -4);
    cellsOf(page)[PAGE.COMMITS] = 9;
    expect(readPage(page, 'lane 0').commitsCount).toBe(9);
    Atomics.store(sequenceOf(page), 0, -3);
    expect(() => readPage(page, 'lane 0')).toThrowError(/unfinished/);
  });

  it('names every activity, counter and drop reason of the catalogs', () => {
    const lane = laneWith('lane 0', {});
    expect(Object.keys(lane.activitiesNs)).toEqual(ACTIVITIES.map(({ name }) => name));
    expect(Object.keys(lane.coreWaitNs)).toEqual(ACTIVITIES.map(({ name }) => name));
    expect(Object.keys(lane.counts)).toEqual(COUNTERS.map(({ name }) => name));
    expect(Object.keys(lane.drops)).toEqual(DROP_REASONS.map(({ name }) => name));
  });
});

describe('sums', () => {
  it('of no lanes are zero', () => {
    expect(new Set(figures(sumSnapshots([])))).toEqual(new Set([0]));
  });

  it('add every figure, in whichever order', () => {
    fc.assert(
      fc.property(fc.array(anyBooks, { minLength: 1, maxLength: 4 }), (contents) => {
        const lanes = contents.map((content, index) => laneWith(`lane ${index}`, content));
        const sum = sumSnapshots(lanes);
        const expected = figures(sum).map((_, index) =>
          lanes.reduce((total, lane) => total + (figures(lane)[index] ?? Number.NaN), 0),
        );
        expect(figures(sum)).toEqual(expected);
        expect(sum.wallNs).toBe(lanes.reduce((total, { wallNs }) => total + wallNs, 0));
        expect(sumSnapshots([...lanes].reverse())).toEqual(sum);
      }),
    );
  });

  it('do not know a run-queue wait that one lane does not know', () => {
    const known = laneWith('lane 0', { usage: { RUN_QUEUE_WAIT_NS: 5 } });
    const unknown = laneWith('lane 1', { usage: { RUN_QUEUE_WAIT_NS: -1 } });
    expect(sumSnapshots([known, known]).usage.runQueueWaitNs).toBe(10);
    expect(sumSnapshots([known, unknown]).usage.runQueueWaitNs).toBeNull();
  });
});

describe('differences', () => {
  it('and what was before add up to what is now', () => {
    fc.assert(
      fc.property(anyBooks, anyBooks, (before, after) => {
        const earlier = deviceWith([laneWith('lane 0', before)], 1e9);
        const later = deviceWith([laneWith('lane 0', after)], 3e9);
        const since = difference(later, earlier);
        expect(figures(sumSnapshots([since.total, earlier.total]))).toEqual(figures(later.total));
        expect(since.wallNs).toBe(2e9);
        expect(since.interface).toBe(later.interface);
      }),
    );
  });

  it('of a snapshot and itself are zero', () => {
    fc.assert(
      fc.property(anyBooks, (content) => {
        const device = deviceWith([laneWith('lane 0', content), laneWith('lane 1', content)]);
        expect(new Set(figures(difference(device, device).total))).toEqual(new Set([0]));
      }),
    );
  });

  it('match lanes by name, and count a lane that is new from zero', () => {
    const earlier = deviceWith([laneWith('lane 0', { counts: { TUN_RX: 1 } })]);
    const lanes = [laneWith('lane 1', { counts: { TUN_RX: 10 } }), laneWith('lane 0', { counts: { TUN_RX: 4 } })];
    const since = difference(deviceWith(lanes), earlier);
    expect(since.lanes.map(({ name, counts }) => [name, counts.TUN_RX])).toEqual([
      ['lane 1', 10],
      ['lane 0', 3],
    ]);
    expect(since.total.counts.TUN_RX).toBe(13);
  });

  it('survive JSON, as every snapshot does', () => {
    fc.assert(
      fc.property(anyBooks, (content) => {
        const device = deviceWith([laneWith('lane 0', content)]);
        expect(JSON.parse(JSON.stringify(device))).toEqual(device);
      }),
    );
  });
});
