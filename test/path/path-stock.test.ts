/** Paths to a peer that answers no probes, in fake time: what it answers otherwise, or does not, tells which of them live. */
import { describe, expect, it } from 'vitest';
import { NO_PATH } from '../../src/path/path-types.ts';
import { type End, TwoEnds } from './support/two-ends.ts';

function uses(end: End): string[] {
  return end.manager.figures().map(({ state, use }) => `${state} ${use}`);
}

function cut(world: TwoEnds, link: number, isCut: boolean): void {
  const one = world.links[link];
  if (one !== undefined) one.isCut = isCut;
}

describe('a stock peer', () => {
  function openStock(mode: 'failover' | 'redundant'): {
    world: TwoEnds;
    a: End;
    b: End;
    talk: (forMs: number) => void;
  } {
    const world = new TwoEnds([{ delayMs: 10 }, { delayMs: 30 }], [{ mode }, { mode: 'follow', isPassive: true }]);
    const [a, b] = world.ends as [End, End];
    b.isStock = true;
    a.configure([0, 1]);
    b.configure([0, 1]);
    // It answers each datagram over the path that it came by.
    b.answers = true;
    return { world, a, b, talk: (forMs) => world.runWith(forMs, 20, () => a.send(500)) };
  }

  it('is sent to over the other path when it falls silent', () => {
    const { world, a, talk } = openStock('failover');
    talk(3_000);
    expect(a.manager.first).toBe(0);
    cut(world, 0, true);
    talk(1_000);
    expect(a.manager.first).toBe(1);
    talk(5_000);
    expect(uses(a)).toEqual(['dead idle', 'alive first']);
    // A handshake tries it again, now and then.
    expect(a.wishes).toBeLessThan(2);
    talk(6_000);
    expect(a.manager.handshakePaths(false, world.nowMs)).toEqual([0]);
    expect(a.wishes).toBeGreaterThan(0);
    cut(world, 0, false);
    a.manager.takeHandshake(0, world.nowMs);
    talk(4_000);
    expect(a.manager.first).toBe(0);
  });

  it('is tried soon over a path whose interface is back, and not before', () => {
    const { world, a, talk } = openStock('failover');
    talk(3_000);
    // What came over it last is looked at when its interface is gone already.
    a.book(0, { lastReceivedMs: world.nowMs });
    a.configure([0, 1], [{ isPresent: false }]);
    talk(20_000);
    expect(uses(a)).toEqual(['dead idle', 'alive first']);
    expect(a.wishes).toBe(0);
    a.configure([0, 1]);
    talk(3_000);
    expect(a.manager.handshakePaths(false, world.nowMs)).toEqual([0]);
    expect(a.wishes).toBe(1);
    expect(a.manager.first).toBe(1);
    a.manager.takeHandshake(0, world.nowMs);
    talk(4_000);
    expect(uses(a)).toEqual(['alive first', 'alive idle']);
  });

  it('that only receives is not taken for dead: it is asked by a handshake each five seconds, over that path', () => {
    const { world, a, b } = openStock('failover');
    b.answers = false;
    a.shakesHands = true;
    a.manager.takeHandshake(0, world.nowMs);
    world.run(300);
    const seen = new Set<string>();
    world.runWith(60_000, 20, () => {
      a.send(500);
      seen.add(
        uses(a)
          .map((use) => use.split(' ')[1])
          .join(' '),
      );
    });
    expect([...seen]).toEqual(['first idle']);
    expect(a.wishes).toBeGreaterThanOrEqual(10);
    expect(a.wishes).toBeLessThanOrEqual(12);
  });

  it('that only receives is sent to over the other path when it does not answer that', () => {
    const { world, a, b } = openStock('failover');
    b.answers = false;
    a.shakesHands = true;
    a.manager.takeHandshake(0, world.nowMs);
    world.runWith(12_000, 20, () => a.send(500));
    cut(world, 0, true);
    const before = b.delivered;
    world.runWith(30_000, 20, () => a.send(500));
    // Five seconds and a half of them get lost, at 50 a second.
    expect(b.delivered - before).toBeGreaterThan(30 * 50 - 6 * 50);
    expect(uses(a)).toEqual(['dead idle', 'alive first']);
    cut(world, 0, false);
    world.runWith(60_000, 20, () => a.send(500));
    expect(uses(a)).toEqual(['alive first', 'alive idle']);
  });

  it('is known for what it is like now: once it answers all the time, a short silence counts', () => {
    const { world, a, b, talk } = openStock('failover');
    b.answers = false;
    a.shakesHands = true;
    a.manager.takeHandshake(0, world.nowMs);
    world.runWith(30_000, 20, () => a.send(500));
    b.answers = true;
    talk(4_000);
    cut(world, 0, true);
    talk(800);
    expect(a.manager.first).toBe(1);
  });

  it('loses nothing in redundant mode', () => {
    const { world, a, b, talk } = openStock('redundant');
    talk(2_000);
    const before = b.delivered;
    cut(world, 0, true);
    talk(5_000);
    world.run(100);
    expect(b.delivered - before).toBe(250);
    expect(a.manager.first).not.toBe(NO_PATH);
  });
});
