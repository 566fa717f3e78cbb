import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, it } from 'vitest';
import { ACTIVITIES, COUNTER, COUNTERS } from '../../src/ledger/catalog.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { cellsOf, openPage, PAGE, sequenceOf } from '../../src/ledger/page.ts';
import { readPage } from '../../src/ledger/snapshot.ts';
import { BOOKS, USAGE } from '../../src/native/layout.ts';
import { DROP, DROP_REASONS } from '../../src/packet/drop-reason.ts';
import { transpile } from './support/transpile.ts';

const folder = mkdtempSync(join(tmpdir(), 'gigatun-ledger-'));
afterAll(() => rmSync(folder, { recursive: true }));

const source = fileURLToPath(new URL('../../src', import.meta.url));
const ledgerUrl = transpile(join(source, 'ledger/ledger.ts'), source, folder).href;
const pageUrl = transpile(join(source, 'ledger/page.ts'), source, folder).href;

/** Commits often and tells by how much the heap grew meanwhile. */
const COMMIT_OFTEN = `
const { workerData, parentPort } = require('node:worker_threads');
(async () => {
  const { Ledger } = await import(workerData.ledgerUrl);
  const { openPage } = await import(workerData.pageUrl);
  const ledger = new Ledger(openPage());
  const commits = (count) => {
    for (let done = 0; done < count; done++) {
      ledger.counts[0] += 1;
      ledger.commit();
    }
  };
  commits(50000);
  const before = process.memoryUsage().heapUsed;
  commits(200000);
  parentPort.postMessage((process.memoryUsage().heapUsed - before) / 200000);
})();
`;

describe('the page', () => {
  it('has one cell for each entry of the catalogs, none of them shared', () => {
    const starts = [PAGE.ACTIVITY_NS, PAGE.CORE_WAIT_NS, PAGE.COUNTS, PAGE.DROPS, PAGE.USAGE, PAGE.CELLS];
    const lengths = [ACTIVITIES.length, ACTIVITIES.length, COUNTERS.length, DROP_REASONS.length, USAGE.CELLS];
    expect(starts.slice(1).map((start, index) => start - (starts[index] ?? 0))).toEqual(lengths);
    const singles = [PAGE.OPENED_NS, PAGE.NOW_NS, PAGE.ACTIVITY, PAGE.COMMITS, PAGE.SLEEP_NS];
    expect(singles).toEqual([...Array(PAGE.ACTIVITY_NS).keys()]);
    expect(cellsOf(openPage())).toHaveLength(PAGE.CELLS);
  });

  it('begins as zeros, with no commit and an even sequence word', () => {
    const page = openPage();
    expect(sequenceOf(page)[0]).toBe(0);
    expect(cellsOf(page).every((cell) => cell === 0)).toBe(true);
    expect(readPage(page, 'lane 0')).toMatchObject({ commitsCount: 0, activity: null, wallNs: 0 });
  });
});

describe('a commit', () => {
  it('publishes every cell of the books, each under its own name', () => {
    const page = openPage();
    const ledger = new Ledger(page);
    for (const { id } of ACTIVITIES) ledger.books[BOOKS.ACTIVITY_NS + id] = 1000 + id;
    for (const { id } of ACTIVITIES) ledger.books[BOOKS.CORE_WAIT_NS + id] = 4000 + id;
    ledger.books[BOOKS.SLEEP_NS] = 5000;
    for (const { id } of COUNTERS) ledger.counts[id] = 2000 + id;
    for (const { id } of DROP_REASONS) ledger.drops[id] = 3000 + id;
    ledger.books[BOOKS.ACTIVITY] = 3;
    ledger.books[BOOKS.READ_TUN_IO] = 11;
    ledger.books[BOOKS.WRITE_TUN_IO] = 12;
    ledger.books[BOOKS.SEND_UDP_IO] = 13;
    ledger.books[BOOKS.RECV_UDP_IO] = 14;
    ledger.books[BOOKS.WAIT_IO] = 15;
    ledger.commit();
    const lane = readPage(page, 'lane 0');
    for (const { id, name } of ACTIVITIES) expect(lane.activitiesNs[name]).toBe(1000 + id);
    for (const { id, name } of ACTIVITIES) expect(lane.coreWaitNs[name]).toBe(4000 + id);
    expect(lane.sleepNs).toBe(5000);
    for (const { id, name } of DROP_REASONS) expect(lane.drops[name]).toBe(3000 + id);
    const systemCalls = { TUN_READ_IO: 11, TUN_WRITE_IO: 12, UDP_SEND_IO: 13, UDP_RECV_IO: 14, WAIT_IO: 15 };
    for (const { id, name } of COUNTERS) if (!(name in systemCalls)) expect(lane.counts[name]).toBe(2000 + id);
    expect(lane.counts).toMatchObject(systemCalls);
    expect(lane.activity).toBe('USER_TX_HISTORY');
    expect(lane.commitsCount).toBe(1);
  });

  it('shows nothing of what was booked after it', () => {
    const page = openPage();
    const ledger = new Ledger(page);
    ledger.counts[COUNTER.TUN_RX] += 7;
    ledger.commit();
    ledger.counts[COUNTER.TUN_RX] += 1;
    ledger.drops[DROP.IN_REPLAY] += 1;
    expect(readPage(page, 'lane 0').counts.TUN_RX).toBe(7);
    expect(readPage(page, 'lane 0').drops.IN_REPLAY).toBe(0);
    ledger.commit();
    expect(readPage(page, 'lane 0')).toMatchObject({ commitsCount: 2, counts: { TUN_RX: 8 }, drops: { IN_REPLAY: 1 } });
  });

  it('counts wall time from the opening of the books', () => {
    const page = openPage();
    const ledger = new Ledger(page);
    ledger.books[BOOKS.OPENED_NS] = 7e15;
    ledger.books[BOOKS.NOW_NS] = 7e15 + 123;
    ledger.commit();
    expect(readPage(page, 'lane 0').wallNs).toBe(123);
  });
});

describe('the baseline of the usage', () => {
  it('is subtracted, so that CPU time covers the span of the books', () => {
    const page = openPage();
    const ledger = new Ledger(page);
    for (let cell = 0; cell < USAGE.CELLS; cell++) ledger.usage[cell] = 1e6 + cell;
    ledger.begin();
    for (let cell = 0; cell < USAGE.CELLS; cell++) ledger.usage[cell] = 1e6 + cell + 10 * (cell + 1);
    ledger.commit();
    expect(readPage(page, 'lane 0').usage).toEqual({
      spanNs: 10 * (USAGE.MONOTONIC_NS + 1),
      userNs: 10 * (USAGE.USER_NS + 1),
      systemNs: 10 * (USAGE.SYSTEM_NS + 1),
      cpuNs: 10 * (USAGE.CPU_NS + 1),
      runQueueWaitNs: 10 * (USAGE.RUN_QUEUE_WAIT_NS + 1),
      voluntarySwitchesCount: 10 * (USAGE.VOLUNTARY_SWITCHES + 1),
      involuntarySwitchesCount: 10 * (USAGE.INVOLUNTARY_SWITCHES + 1),
      minorFaultsCount: 10 * (USAGE.MINOR_FAULTS + 1),
      majorFaultsCount: 10 * (USAGE.MAJOR_FAULTS + 1),
    });
  });

  it('keeps an unknown run-queue wait unknown', () => {
    const page = openPage();
    const ledger = new Ledger(page);
    ledger.usage[USAGE.RUN_QUEUE_WAIT_NS] = -1;
    ledger.begin();
    ledger.commit();
    expect(readPage(page, 'lane 0').usage.runQueueWaitNs).toBeNull();
  });
});

describe('the memory of a commit', () => {
  it('is none: a commit allocates less than one byte', async () => {
    // In a thread of its own and as plain modules, as it runs in a lane: the test runner's wrapping of imports allocates.
    const bytesPerCommit = await new Promise<number>((resolve, reject) => {
      const worker = new Worker(COMMIT_OFTEN, { eval: true, workerData: { ledgerUrl, pageUrl } });
      worker.once('message', resolve).once('error', reject);
    });
    expect(bytesPerCommit).toBeLessThan(1);
  });
});
