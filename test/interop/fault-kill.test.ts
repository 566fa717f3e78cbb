/**
 * SIGKILL at random moments, in the middle of a start and under traffic in both directions, again and again; `b` is never
 * touched.
 *
 *     a: 10.77.0.1 --TUN, default route into it--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 *
 * A few times as a test; for minutes by `npm run faults -- --minutes N`, which sets GIGATUN_FAULT_MINUTES. The seed of all
 * moments is printed, GIGATUN_FAULT_SEED repeats it.
 */
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Lab } from '../../src/lab/namespaces.ts';
import { innerRoute, type Pair, planPair, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { type EndOptions, type GigatunEnd, openEnd, openGigatun, startGigatun } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { namespaceState, settleDevice } from '../support/tunnel-state.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const MINUTES = Number(process.env.GIGATUN_FAULT_MINUTES ?? 0);
const SEED = Number(process.env.GIGATUN_FAULT_SEED ?? Date.now() % 1_000_000);
const ROUNDS_AS_TEST = 3;
/** A start takes about half a second: kills fall before, into and after each of its steps. */
const START_MS_MAX = 800;
const TRAFFIC_MS_MAX = 1_000;
/** Handshake and first packet, on a busy machine; `a` has something to send, so it need not wait to be missed. */
const RESUME_MS_MAX = 10_000;
const EVERYTHING: EndOptions = {
  edit: (config) => config.replace(/^AllowedIPs = .*$/m, 'AllowedIPs = 0.0.0.0/0, ::/0'),
};

/** Mulberry32: numbers from 0 to 1 that a seed repeats. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Once of everything, whoever was killed before, and files of this process alone. */
function expectWhole({ a: { namespace, device } }: Pair, end: GigatunEnd): void {
  expect(namespace.runSync(['ip', '-4', 'rule']).match(/not .*fwmark/g)).toHaveLength(1);
  expect(namespace.runSync(['ip', '-6', 'rule']).match(/not .*fwmark/g)).toHaveLength(1);
  expect(namespace.runSync(['ip', '-4', 'route', 'show', 'table', 'all']).match(/default dev/g)).toHaveLength(1);
  // One for each family.
  expect(namespace.runSync(['nft', 'list', 'tables']).match(/^table /gm)).toHaveLength(2);
  expect(namespace.runSync(['ip', '-o', 'link']).match(/gt\w+-\d+a/g)).toHaveLength(1);
  expect(readdirSync(end.directory).sort()).toEqual([`${device}.sock`, `${device}.undo`]);
}

tunnelSuite('a tunnel that is killed again and again', ['nft', 'ping'], () => {
  it('comes back each time, whole, and carries traffic', { timeout: MINUTES * 60_000 + 60_000 }, async () => {
    const random = randomOf(SEED);
    const lab = new Lab();
    const pair = planPair(lab);
    const { namespace } = pair.a;
    settleDevice(namespace, pair.link[0].device);
    const before = namespaceState(namespace);
    const b = await openEnd(lab, pair.b, { program: 'gigatun', knowsEndpoint: false });
    const startedMs = performance.now();
    const isOver = (rounds: number) => rounds >= ROUNDS_AS_TEST && performance.now() - startedMs >= MINUTES * 60_000;
    const [kills, resumedMs] = [{ starting: 0, running: 0 }, [] as number[]];
    let a = await openGigatun(lab, pair.a, EVERYTHING);
    const streams: Stream[] = [];
    try {
      await waitForEcho(innerRoute(pair, 4), RESUME_MS_MAX);
      const load = { packetsPerSecond: 500, lengths: [8, 1_372] } as const;
      streams.push(await Stream.start(innerRoute(pair, 4), load), await Stream.start(reverseRoute(pair, 4), load));
      for (let rounds = 0; !isOver(rounds); rounds += 1) {
        await delay(random() * TRAFFIC_MS_MAX);
        expect((await a.end('SIGKILL')).signal).toBe('SIGKILL');
        kills.running += 1;
        if (random() < 0.7) {
          const starting = startGigatun(lab, pair.a, EVERYTHING);
          await delay(random() * START_MS_MAX);
          await starting.end('SIGKILL');
          kills.starting += 1;
        }
        a = await openGigatun(lab, pair.a, EVERYTHING);
        const upMs = performance.now();
        await Promise.all(streams.map((stream) => stream.arrivals(100, RESUME_MS_MAX)));
        resumedMs.push(performance.now() - upMs);
        expectWhole(pair, a);
      }
      expect(b.program.ended).toBe(false);
      const outcomes = await Promise.all(streams.splice(0).map((stream) => stream.finish(true)));
      for (const outcome of outcomes) expect(outcome).toMatchObject({ repeated: 0, corrupted: 0 });
      expect(await a.end('SIGTERM')).toMatchObject({ code: 0 });
      expect(await b.end('SIGTERM')).toMatchObject({ code: 0 });
      expect(namespaceState(namespace)).toBe(before);
      expect(readdirSync(a.directory)).toEqual([]);
      console.log(
        `faults, seed ${SEED}: killed ${kills.running} times under traffic and ${kills.starting} times while starting; ` +
          `100 packets each way had come again after ${Math.round(median(resumedMs))} ms (median), ` +
          `${Math.round(Math.max(...resumedMs))} ms (most)`,
      );
    } finally {
      await Promise.all(streams.map((stream) => stream.finish(true).catch(() => undefined)));
      await Promise.all([a.end('SIGKILL'), b.end('SIGKILL')]);
      lab.close();
    }
  });
});

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}
