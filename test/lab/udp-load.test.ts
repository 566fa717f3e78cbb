/**
 * UDP loads of our own between two namespaces: groups arrive whole and in order, what is lost is counted as lost, and a ramp offers
 * what it was asked for.
 *
 *     a: 10.99.0.1, fd99:0::1 == veth == b: 10.99.0.2, fd99:0::2
 */
import { expect, it } from 'vitest';
import type { Route } from '../../src/lab/iperf.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { runRamp, runWindowed } from '../../src/lab/udp-load.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const LENGTH = 1_350;
const SECONDS = 0.3;

async function between(action: (routes: { four: Route; six: Route; lose: (share: number) => void }) => Promise<void>) {
  const lab = new Lab();
  try {
    const [a, b] = lab.connect(lab.addNamespace('a'), lab.addNamespace('b'));
    const route = (address: string): Route => ({ from: a.namespace, to: b.namespace, address });
    const lose = (share: number) => b.namespace.loseIncoming(b.device, share);
    await action({ four: route(b.address4), six: route(b.address6), lose });
  } finally {
    lab.close();
  }
}

tunnelSuite('a load in groups', [], () => {
  it('arrives whole and in order over both IP versions, many datagrams to a group', () =>
    between(async ({ four, six }) => {
      for (const route of [four, six]) {
        const result = await runWindowed(route, SECONDS, LENGTH);
        expect(result).toMatchObject({ lostDatagrams: 0, lateDatagrams: 0, windowCuts: 0 });
        expect(result.deliveredDatagrams).toBe(result.sentDatagrams);
        expect(result.deliveredDatagrams).toBeGreaterThan(100);
        expect(result.datagramsPerGroup).toBeGreaterThan(8);
        expect(result.gigabitsPerSecond).toBeGreaterThan(0);
      }
    }));
  it('that loses some counts them, and sends less', () =>
    between(async ({ four, lose }) => {
      lose(0.2);
      // Long enough that it does not lose every group: the first ones go out one by one.
      const result = await runWindowed(four, 10 * SECONDS, LENGTH);
      expect(result.lostDatagrams).toBeGreaterThan(0);
      expect(result.deliveredDatagrams).toBeLessThan(result.sentDatagrams);
      expect(result.windowCuts).toBeGreaterThan(0);
    }));
});

tunnelSuite('a ramp', [], () => {
  it('offers what each step asks for, and counts what each delivers', () =>
    between(async ({ four }) => {
      const [slow, faster, all] = await runRamp(four, SECONDS, 64, [1_000, 4_000, 0]);
      expect(slow?.offeredPerSecond).toBeLessThanOrEqual(1_000);
      expect(faster?.offeredPerSecond).toBeLessThanOrEqual(4_000);
      expect(slow?.deliveredPerSecond).toBeGreaterThan(0);
      expect(slow?.deliveredPerSecond).toBeLessThanOrEqual(slow?.offeredPerSecond ?? 0);
      expect(all?.offeredPerSecond).toBeGreaterThan(faster?.offeredPerSecond ?? Number.POSITIVE_INFINITY);
    }));
  it('over a lossy way delivers less than it offers', () =>
    between(async ({ four, lose }) => {
      lose(0.5);
      const [step] = await runRamp(four, SECONDS, 64, [5_000]);
      expect(step?.deliveredPerSecond).toBeLessThan((step?.offeredPerSecond ?? 0) * 0.9);
    }));
});
