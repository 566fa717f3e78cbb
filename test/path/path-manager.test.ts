/** Paths of a peer in fake time, over links that lose, break and have their limits. */
import { describe, expect, it } from 'vitest';
import { NO_TRAFFIC } from '../../src/path/path-health.ts';
import type { PathAnswerMessage, PathManager, PathProbe } from '../../src/path/path-manager.ts';
import { NO_PATH, PATHS_MAX } from '../../src/path/path-types.ts';
import type { ControlMessage } from '../../src/protocol/control-message.ts';
import { type End, type Link, TwoEnds } from './support/two-ends.ts';

const FOLLOWER = { mode: 'follow', isPassive: true } as const;

/** One end with the links as paths in this mode, and one that follows. */
function open(
  mode: 'failover' | 'redundant' | 'weighted' | 'lowest-latency',
  links: readonly Partial<Link>[],
  seed = 1,
): { world: TwoEnds; a: End; b: End } {
  const world = new TwoEnds(links, [{ mode }, FOLLOWER], seed);
  const [a, b] = world.ends as [End, End];
  a.configure(links.map((_, link) => link));
  return { world, a, b };
}

function uses(end: End): string[] {
  return end.manager.figures().map(({ state, use }) => `${state} ${use}`);
}

function cut(world: TwoEnds, link: number, isCut: boolean): void {
  const one = world.links[link];
  if (one !== undefined) one.isCut = isCut;
}

/** Lets time pass in steps until it holds; ms that it took, or `mostMs`. */
function takes(world: TwoEnds, mostMs: number, holds: () => boolean): number {
  const startMs = world.nowMs;
  while (!holds() && world.nowMs - startMs < mostMs) world.run(5);
  return world.nowMs - startMs;
}

describe('failover', () => {
  it.for([1, 2, 3, 4, 5])(
    'goes over to the other path within a second when the first is cut, and back by itself (%i)',
    (seed) => {
      const { world, a } = open('failover', [{ delayMs: 10 }, { delayMs: 30 }], seed);
      world.run(3_000 + 37 * seed);
      expect(uses(a)).toEqual(['alive first', 'alive idle']);
      cut(world, 0, true);
      expect(takes(world, 2_000, () => a.manager.first === 1)).toBeLessThan(700);
      expect(uses(a)).toEqual(['dead idle', 'alive first']);
      world.run(20_000);
      expect(a.manager.first).toBe(1);
      cut(world, 0, false);
      expect(takes(world, 30_000, () => a.manager.first === 0)).toBeLessThan(14_000);
      world.run(5_000);
      expect(uses(a)).toEqual(['alive first', 'alive idle']);
    },
  );

  it('has the peer that follows go along, which only sends', () => {
    const { world, a, b } = open('failover', [{ delayMs: 10 }, { delayMs: 30 }]);
    world.run(3_000);
    expect(b.linkOf(b.choice.first)).toBe(0);
    cut(world, 0, true);
    expect(takes(world, 2_000, () => b.linkOf(b.choice.first) === 1)).toBeLessThan(800);
    expect(a.manager.first).toBe(1);
  });

  it('does not flap when a third of the probes gets lost, each way', () => {
    for (const seed of [11, 12, 13]) {
      const { world, a } = open('failover', [{ loss: 0.163 }, { loss: 0.163 }], seed);
      world.run(3_000);
      let switches = 0;
      let first = a.manager.first;
      world.runWith(600_000, 20, () => {
        if (a.manager.first !== first) switches += 1;
        first = a.manager.first;
      });
      expect(switches).toBe(0);
    }
  });

  it('comes back ever later to a path that dies again and again', () => {
    const { world, a } = open('failover', [{}, { delayMs: 30 }]);
    world.run(3_000);
    const backMs: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      cut(world, 0, true);
      takes(world, 2_000, () => a.manager.first === 1);
      cut(world, 0, false);
      backMs.push(takes(world, 60_000, () => a.manager.first === 0));
    }
    expect(backMs[0]).toBeLessThan(4_000);
    expect(backMs[3]).toBeGreaterThan(2 * (backMs[0] ?? 0));
  });

  it('keeps a backup for when all others are dead', () => {
    const { world, a } = open('failover', [{}, {}, {}]);
    a.configure([0, 1, 2], [{ isBackup: true }]);
    world.run(3_000);
    expect(a.manager.first).toBe(1);
    cut(world, 1, true);
    world.run(1_000);
    expect(a.manager.first).toBe(2);
    cut(world, 2, true);
    world.run(1_000);
    expect(a.manager.first).toBe(0);
  });

  it('leaves a path at once whose interface is gone, and takes it again when it is back', () => {
    const { world, a } = open('failover', [{}, {}]);
    world.run(3_000);
    a.configure([0, 1], [{ isPresent: false }]);
    a.step();
    expect(a.manager.first).toBe(1);
    a.configure([0, 1]);
    expect(takes(world, 10_000, () => a.manager.first === 0)).toBeLessThan(4_000);
  });
});

describe('copies', () => {
  const COPYING = { mode: 'failover', copies: 1 } as const;

  it('take the other path at once, and the same one when the other is dead', () => {
    const world = new TwoEnds([{ delayMs: 10 }, { delayMs: 30 }], [COPYING, FOLLOWER]);
    const [a, b] = world.ends as [End, End];
    a.configure([0, 1]);
    world.run(3_000);
    expect(uses(a)).toEqual(['alive first', 'alive copy']);
    expect(a.choice.copiesCount).toBe(1);
    cut(world, 1, true);
    world.run(2_000);
    expect(uses(a)).toEqual(['alive first', 'dead idle']);
    expect(a.choice.copiesCount).toBe(0);
    cut(world, 1, false);
    world.run(10_000);
    expect(uses(a)).toEqual(['alive first', 'alive copy']);
    // Nothing was delivered twice, and the peer answers over the first.
    world.runWith(1_000, 10, () => a.send(500));
    world.run(100);
    expect(b.delivered).toBe(100);
    expect(b.linkOf(b.manager.first)).toBe(0);
  });

  it('lead the peer that follows back to the first path when that is back', () => {
    const world = new TwoEnds([{ delayMs: 10 }, { delayMs: 30 }], [COPYING, FOLLOWER]);
    const [a, b] = world.ends as [End, End];
    a.configure([0, 1]);
    world.run(3_000);
    cut(world, 0, true);
    expect(takes(world, 2_000, () => b.linkOf(b.manager.first) === 1)).toBeLessThan(1_000);
    cut(world, 0, false);
    expect(takes(world, 20_000, () => a.manager.first === 0)).toBeLessThan(14_000);
    expect(takes(world, 2_000, () => b.linkOf(b.manager.first) === 0)).toBeLessThan(1_000);
  });
});

describe('an only path', () => {
  /** One path, in use; its probes are lost from now on, and data is as told. */
  function openOnly(): { world: TwoEnds; a: End; b: End } {
    const opened = open('failover', [{ delayMs: 10 }]);
    opened.world.run(2_000);
    expect(uses(opened.a)).toEqual(['alive first']);
    return opened;
  }

  it('is not dead while data comes over it, however many probes get lost', () => {
    const { world, a, b } = openOnly();
    b.lie = (message) => (message.kind === 'pathAnswer' ? { ...message, sequence: 0 } : message);
    world.runWith(10_000, 100, () => a.receive(0, 500, true));
    expect(uses(a)).toEqual(['alive first']);
  });

  it('is not dead for a burst of losses when a stream has ended, and is when it stays silent', () => {
    const { world, a } = openOnly();
    cut(world, 0, true);
    world.run(1_200);
    expect(uses(a)).toEqual(['alive first']);
    world.run(3_000);
    expect(uses(a)).toEqual(['dead first']);
    cut(world, 0, false);
    world.run(15_000);
    expect(uses(a)).toEqual(['alive first']);
  });

  it('is not told dead while nothing asks it any more', () => {
    const { world, a } = openOnly();
    cut(world, 0, true);
    world.run(4_000);
    expect(uses(a)).toEqual(['dead first']);
    a.flow = 'idle';
    world.run(1_000);
    expect(uses(a)).toEqual(['unknown first']);
    cut(world, 0, false);
    a.flow = 'busy';
    world.run(1_000);
    expect(uses(a)).toEqual(['alive first']);
  });

  it('is what is left when all others are dead', () => {
    const { world, a } = open('failover', [{}, {}]);
    world.run(2_000);
    cut(world, 1, true);
    world.run(2_000);
    cut(world, 0, true);
    world.run(1_000);
    expect(uses(a)).toEqual(['alive first', 'dead idle']);
  });
});

describe('redundant', () => {
  it('sends over all that live, without a lost datagram when one is cut', () => {
    const { world, a, b } = open('redundant', [{ delayMs: 10 }, { delayMs: 30 }]);
    world.run(3_000);
    expect(uses(a)).toEqual(['alive first', 'alive copy']);
    let sent = 0;
    const send = (): void => {
      sent += 1;
      a.send(1_000);
    };
    world.runWith(1_000, 10, send);
    cut(world, 0, true);
    world.runWith(5_000, 10, send);
    cut(world, 0, false);
    world.runWith(15_000, 10, send);
    world.run(100);
    // What was on its way over the first when it was cut came over the second, too.
    expect(b.delivered).toBe(sent);
    expect(uses(a)).toEqual(['alive first', 'alive copy']);
  });
});

describe('lowest-latency', () => {
  it('goes where it is quicker, and does not follow every flicker', () => {
    const { world, a } = open('lowest-latency', [{ delayMs: 30 }, { delayMs: 10 }]);
    world.run(3_000);
    expect(a.manager.first).toBe(1);
    let switches = 0;
    let first = a.manager.first;
    world.runWith(20_000, 50, () => {
      (world.links[0] as Link).delayMs = 9 + world.random.below(3);
      (world.links[1] as Link).delayMs = 9 + world.random.below(3);
      if (a.manager.first !== first) switches += 1;
      first = a.manager.first;
    });
    expect(switches).toBe(0);
    (world.links[0] as Link).delayMs = 10;
    (world.links[1] as Link).delayMs = 60;
    expect(takes(world, 5_000, () => a.manager.first === 0)).toBeLessThan(2_500);
  });
});

describe('weighted', () => {
  const BYTES = 1_400;

  /** Sends so many bytes per ms for a while; what arrived of it, as a share. */
  function load(world: TwoEnds, a: End, b: End, bytesPerMs: number, forMs: number): number {
    const before = b.delivered;
    let credit = 0;
    let sent = 0;
    world.runWith(forMs, 1, () => {
      credit += bytesPerMs;
      for (; credit >= BYTES; credit -= BYTES) {
        a.send(BYTES);
        sent += 1;
      }
    });
    return (b.delivered - before) / sent;
  }

  it('finds out that one path carries twice as much as the other', () => {
    const links = [
      { delayMs: 5, bytesPerMs: 12_500, queueBytesMax: 400_000 },
      { delayMs: 15, bytesPerMs: 6_250, queueBytesMax: 400_000 },
    ];
    const { world, a, b } = open('weighted', links);
    world.run(2_000);
    load(world, a, b, 19_500, 10_000);
    const before = [0, 1].map((path) => a.trafficOf(path).sentBytes);
    const arrived = load(world, a, b, 19_500, 10_000);
    const carried = [0, 1].map((path) => a.trafficOf(path).sentBytes - (before[path] ?? 0));
    // Of 104 % of what both carry.
    expect(arrived).toBeGreaterThan(0.93);
    expect((carried[0] ?? 0) / (carried[1] ?? 1)).toBeGreaterThan(1.7);
    expect((carried[0] ?? 0) / (carried[1] ?? 1)).toBeLessThan(2.4);
  });

  it('finds the new capacity when a path gets slower', () => {
    const links = [
      { delayMs: 5, bytesPerMs: 12_500, queueBytesMax: 400_000 },
      { delayMs: 5, bytesPerMs: 12_500, queueBytesMax: 400_000 },
    ];
    const { world, a, b } = open('weighted', links);
    world.run(2_000);
    load(world, a, b, 22_000, 8_000);
    (world.links[0] as Link).bytesPerMs = 2_500;
    // 104 % of what both carry by now: with less, the queue of the slow one stays too short to tell.
    load(world, a, b, 15_600, 8_000);
    expect(a.manager.figures()[0]?.rateBytesPerMs).toBeLessThan(4_000);
    expect(load(world, a, b, 13_500, 5_000)).toBeGreaterThan(0.97);
  });

  it('does not believe a peer that tells of more than was sent', () => {
    const { world, a, b } = open('weighted', [{ bytesPerMs: 1_000 }, { bytesPerMs: 1_000 }]);
    b.lie = (message: ControlMessage): ControlMessage =>
      message.kind === 'pathAnswer' ? { ...message, datagrams: 1e12, bytes: 1e15, heldUs: 4e9 } : message;
    world.run(1_000);
    load(world, a, b, 1_500, 10_000);
    for (const { rateBytesPerMs } of a.manager.figures()) expect(rateBytesPerMs ?? 0).toBeLessThan(3_000);
    // Growing numbers are no better.
    let told = 1e12;
    b.lie = (message) => {
      told += 1e9;
      return message.kind === 'pathAnswer' ? { ...message, datagrams: told, bytes: told * 1_000 } : message;
    };
    load(world, a, b, 1_500, 10_000);
    for (const { rateBytesPerMs } of a.manager.figures()) expect(rateBytesPerMs ?? 0).toBeLessThan(3_000);
  });
});

it('tells loss as it is', () => {
  const { world, a } = open('failover', [{ loss: 0.05 }, {}]);
  world.run(2_000);
  world.runWith(10_000, 1, () => a.send(500));
  const [lossy, clean] = a.manager.figures();
  expect(lossy?.loss).toBeGreaterThan(0.03);
  expect(lossy?.loss).toBeLessThan(0.07);
  expect(clean?.loss ?? 0).toBe(0);
  expect(a.manager.lanePaths(0.5).loss).toBe(lossy?.loss);
});

it('tells of no loss where ends that are busy count a little late', () => {
  const { world, a, b } = open('failover', [{}, {}]);
  world.run(2_000);
  // What it says of arrivals is taken some datagrams after the probe came: now none, now as many as come in 20 ms.
  b.lie = (message) =>
    message.kind === 'pathAnswer' ? { ...message, datagrams: message.datagrams + world.random.below(20) } : message;
  let most = 0;
  world.runWith(20_000, 1, () => {
    a.send(500);
    most = Math.max(most, a.manager.figures()[0]?.loss ?? 0);
  });
  expect(a.manager.figures()[0]?.loss).toBe(0);
  // One that starts with an answer which tells too much may seem to lose as much, for a while.
  expect(most).toBeLessThan(0.01);
});

describe('a hostile peer', () => {
  const LOCAL = Uint8Array.of(10, 0, 0, 1);
  const STRANGE = {
    family: 4,
    address: Uint8Array.of(192, 0, 2, 7),
    port: 7,
    scope: 0,
    localAddress: LOCAL,
    localInterface: 0,
  } as const;
  const answerTo = (sequence: number, path = 0): PathAnswerMessage => ({
    ...{ kind: 'pathAnswer', path, sequence, sentUs: 0, heldUs: 0, datagrams: 5, bytes: 500 },
  });

  /** A manager with two paths, and the probes that it has sent by now. */
  function probing(): { manager: PathManager; probes: readonly PathProbe[]; state: () => string } {
    const { world, a } = open('failover', [{}, {}]);
    const probes: PathProbe[] = [];
    for (const link of [0, 1]) cut(world, link, true);
    a.lie = (message) => {
      if (message.kind === 'pathProbe') probes.push(message);
      return message;
    };
    world.run(300);
    const { manager } = a;
    return { manager, probes, state: () => JSON.stringify([manager.figures(), manager.lanePaths(0)]) };
  }

  it('changes nothing by answers that were not asked for, come again, or come over another path', () => {
    const { manager, probes, state } = probing();
    const before = state();
    const sequence = probes.find(({ path }) => path === 0)?.sequence ?? 0;
    for (const wrong of [sequence ^ 1, 0, 0xffff_ffff])
      expect(manager.takeAnswer(0, answerTo(wrong >>> 0), NO_TRAFFIC, 1_000_310)).toBe(false);
    expect(manager.takeAnswer(1, answerTo(sequence, 1), NO_TRAFFIC, 1_000_310)).toBe(false);
    expect(manager.takeAnswer(1, answerTo(sequence, 0), NO_TRAFFIC, 1_000_310)).toBe(false);
    expect(manager.takeAnswer(NO_PATH, answerTo(sequence), NO_TRAFFIC, 1_000_310)).toBe(false);
    expect(manager.takeAnswer(manager.pathOf(STRANGE), answerTo(sequence), NO_TRAFFIC, 1_000_310)).toBe(false);
    expect(state()).toBe(before);
    expect(manager.takeAnswer(0, answerTo(sequence), NO_TRAFFIC, 1_000_310)).toBe(true);
    const after = state();
    expect(manager.takeAnswer(0, answerTo(sequence), NO_TRAFFIC, 1_000_320)).toBe(false);
    expect(state()).toBe(after);
  });

  it('has no data sent to an address that did not answer, whatever it says of it, and only a few probes', () => {
    const { world, a } = open('redundant', [{}, {}]);
    world.run(1_000);
    const path = a.manager.learn(STRANGE, world.nowMs);
    let probes = 0;
    a.lie = (message) => {
      if (message.kind === 'pathProbe' && message.path === path) probes += 1;
      return message;
    };
    const probe: PathProbe = { kind: 'pathProbe', path: 0, carriesData: true, sequence: 1, sentUs: 1 };
    for (const link of [0, 1]) cut(world, link, true);
    world.runWith(60_000, 100, () => a.manager.takeProbe(path, probe, NO_TRAFFIC, 0, world.nowMs));
    expect(a.manager.figures().find((one) => one.path === path)?.use).toBe('idle');
    expect(probes).toBeGreaterThan(0);
    expect(probes).toBeLessThan(40);
  });

  it('brings no more addresses than there is room for, and none in place of one that works', () => {
    const { world, a } = open('failover', [{}, {}]);
    world.run(1_000);
    for (let host = 0; host < 250; host += 1)
      a.manager.learn({ ...STRANGE, address: Uint8Array.of(192, 0, 2, host) }, world.nowMs);
    expect(a.manager.figures().length).toBe(PATHS_MAX);
    world.run(5_000);
    expect(uses(a).slice(0, 2)).toEqual(['alive first', 'alive idle']);
    world.run(60_000);
    const path = a.manager.learn(STRANGE, world.nowMs);
    expect(path).toBeGreaterThan(1);
  });
});
