/** Two paths that face each other, over a middle that breaks groups: who is spoken to, what is found, what is told. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { GroupShapes } from '../../src/offloads/group-shapes.ts';
import { type ControlGroups, type PathFigures, PeerPath } from '../../src/offloads/peer-path.ts';
import { ProbeArrivals } from '../../src/offloads/probe-arrivals.ts';
import { type ControlMessage, decodeControlMessage, encodeControlMessage } from '../../src/protocol/control-message.ts';

const MTU = 1_420;
const ANNOUNCEMENT = encodeControlMessage({ kind: 'announce', capabilities: 3, heard: true });

/** One end: its path, what it sent, and the figures that its lanes would have. */
class End {
  readonly path: PeerPath;
  readonly sent: ControlMessage[] = [];
  readonly shapes: [GroupShapes, string][] = [];
  figures: PathFigures = { sentBytes: 0, receivedBytes: 0, sent: 0, newest: 0, count: 0 };
  other: End | null = null;
  /** Which groups get through. */
  carries: (datagrams: number) => boolean = () => true;

  constructor(announces = true, offloads: 'auto' | 'none' | 'udp-gso' = 'auto') {
    const options = { offloads, announces, datagramsMax: 64, offered: 0, firstRound: 5 };
    this.path = new PeerPath(options, {
      send: (groups) => this.#send(groups),
      shape: (shapes, why) => this.shapes.push([shapes, why]),
    });
  }

  #send(groups: ControlGroups): void {
    for (const group of groups) {
      for (const bytes of group) this.sent.push(decodeControlMessage(bytes) ?? { kind: 'ask', round: -1 });
      const { other } = this;
      if (other !== null && this.carries(group.length))
        for (const bytes of group) other.path.take(bytes, other.figures, nowMs);
    }
  }
}

let nowMs = 0;
let a: End;
let b: End;

function connect(left: End, right: End): void {
  a = left;
  b = right;
  a.other = b;
  b.other = a;
  nowMs = 1_000_000;
  b.path.newKeypair(22, 11, nowMs);
  a.path.newKeypair(11, 22, nowMs);
}

/** Lets time pass while a sends so many datagrams of 1,452 bytes a second, of which a share arrives. */
function pass(seconds: number, datagrams = 100, share = 1): void {
  for (let second = 0; second < seconds; second += 1) {
    for (let step = 0; step < 20; step += 1) {
      nowMs += 50;
      for (const end of [a, b]) end.path.step(nowMs, MTU, true);
    }
    const sent = a.figures.sent + datagrams;
    const count = b.figures.count + Math.floor(datagrams * share);
    a.figures = { ...a.figures, sent, sentBytes: a.figures.sentBytes + datagrams * 1_452 };
    b.figures = { ...b.figures, newest: sent, count, receivedBytes: b.figures.receivedBytes + datagrams * 1_452 };
    for (const end of [a, b]) end.path.look(end.figures, nowMs);
  }
}

const kindsOf = (end: End): string[] => [...new Set(end.sent.map(({ kind }) => kind))].sort();

const probesOf = (end: End): number => end.sent.filter(({ kind }) => kind === 'probe').length;

beforeEach(() => connect(new End(), new End()));

describe('two gigatuns', () => {
  it('announce themselves; the one that sends probes, the other answers and reports', () => {
    pass(3);
    expect([a.path.isGigatun, b.path.isGigatun]).toEqual([true, true]);
    expect(kindsOf(a)).toEqual(['announce', 'probe']);
    expect(kindsOf(b)).toEqual(['announce', 'arrived', 'received']);
    expect(a.shapes).toEqual([]);
  });

  it('find what the middle does not carry, tell it once, and use it again when it is mended', () => {
    a.carries = (datagrams) => datagrams <= 16;
    pass(10);
    expect(a.shapes).toEqual([[{ datagramsMax: 16, shortTail: true }, 'probed']]);
    expect(a.path.retryMs).toBeGreaterThan(nowMs);
    a.carries = () => true;
    pass(40);
    expect(a.shapes.at(-1)).toEqual([{ datagramsMax: 64, shortTail: true }, 'probed']);
    expect(a.path.retryMs).toBe(0);
  });

  it('find a middle that breaks later by the losses that it makes', () => {
    pass(60);
    a.carries = (datagrams) => datagrams === 1;
    const before = a.shapes.length;
    pass(8, 100, 0.8);
    expect(a.shapes.slice(before)).toEqual([[{ datagramsMax: 1, shortTail: true }, 'probed']]);
  });

  it('say nothing while nothing flows', () => {
    pass(5);
    const said = [a.sent.length, b.sent.length];
    pass(600, 0);
    expect([a.sent.length, b.sent.length]).toEqual(said);
  });

  it('begin anew when the peer has moved', () => {
    pass(12);
    const probes = probesOf(a);
    a.path.moved(nowMs);
    pass(1);
    expect(probesOf(a)).toBe(2 * probes);
  });

  it('begin anew once in ten seconds, however often the peer moves, and once more after its last move', () => {
    pass(12);
    const probes = probesOf(a);
    for (let move = 0; move < 30; move += 1) {
      a.path.moved(nowMs);
      pass(1);
    }
    expect(probesOf(a)).toBe(4 * probes);
    pass(20);
    expect(probesOf(a)).toBe(5 * probes);
  });

  it('forget a peer that does not announce itself any more, and what was found out with it', () => {
    a.carries = (datagrams) => datagrams === 1;
    pass(10);
    a.other = null;
    for (const keypair of [1, 2, 3]) a.path.newKeypair(11 + keypair, 22 + keypair, nowMs);
    expect(a.path.isGigatun).toBe(false);
    expect(a.shapes.at(-1)).toEqual([{ datagramsMax: 64, shortTail: true }, 'fast']);
  });

  it('remember what was found out with a peer that announces itself again', () => {
    a.carries = (datagrams) => datagrams === 1;
    pass(10);
    a.other = null;
    for (const keypair of [1, 2]) a.path.newKeypair(11 + keypair, 22 + keypair, nowMs);
    const told = a.shapes.length;
    a.path.take(ANNOUNCEMENT, a.figures, nowMs);
    expect(a.shapes.slice(told)).toEqual([[{ datagramsMax: 1, shortTail: true }, 'probed']]);
    expect(a.path.shapes).toEqual({ datagramsMax: 1, shortTail: true });
  });
});

describe('a stranger', () => {
  it('is sent nothing but one announcement, whatever it says', () => {
    connect(new End(), new End(false));
    pass(100);
    for (const message of ['ask', 'arrived', 'probe'] as const) {
      const bytes =
        message === 'ask'
          ? encodeControlMessage({ kind: 'ask', round: 6 })
          : message === 'arrived'
            ? encodeControlMessage({ kind: 'arrived', round: 6, bits: new Uint8Array(8) })
            : encodeControlMessage({ kind: 'probe', round: 6, number: 0, total: 1 });
      a.path.take(bytes, a.figures, nowMs);
    }
    expect(a.sent.map(({ kind }) => kind)).toEqual(['announce']);
    expect(b.sent).toEqual([]);
  });

  it('gets single datagrams when little flows', () => {
    connect(new End(), new End(false));
    pass(5, 20);
    expect(a.shapes).toEqual([[{ datagramsMax: 1, shortTail: true }, 'slow']]);
  });

  it('to which groups flow slowly at once again gets single datagrams for a while', () => {
    connect(new End(), new End(false));
    pass(10, 20);
    pass(1, 3_000);
    expect(a.shapes.at(-1)).toEqual([{ datagramsMax: 64, shortTail: true }, 'fast']);
    pass(4, 20);
    expect(a.shapes.at(-1)).toEqual([{ datagramsMax: 1, shortTail: true }, 'blamed']);
    expect(a.path.retryMs).toBeGreaterThan(nowMs);
    pass(40, 3_000);
    expect(a.shapes.at(-1)).toEqual([{ datagramsMax: 64, shortTail: true }, 'retried']);
  });

  it('that announces itself after all gets groups, and single datagrams when it is one again', () => {
    connect(new End(), new End(false));
    pass(5, 20);
    a.path.take(ANNOUNCEMENT, a.figures, nowMs);
    expect(a.shapes.at(-1)).toEqual([{ datagramsMax: 64, shortTail: true }, 'probed']);
    for (const keypair of [1, 2]) a.path.newKeypair(11 + keypair, 22 + keypair, nowMs);
    expect(a.shapes.at(-1)).toEqual([{ datagramsMax: 1, shortTail: true }, 'slow']);
  });
});

describe('a peer whose groups are forced', () => {
  it.each(['none', 'udp-gso'] as const)('is not probed: %s', (offloads) => {
    connect(new End(true, offloads), new End());
    a.carries = (datagrams) => datagrams === 1;
    pass(10, 20);
    expect(kindsOf(a)).toEqual(['announce']);
    expect([a.shapes, a.path.shapes]).toEqual([[], null]);
  });
});

describe('somebody who asks without end', () => {
  it('is answered 32 times a second at most', () => {
    pass(2);
    const before = b.sent.length;
    for (let ask = 0; ask < 1_000; ask += 1)
      b.path.take(encodeControlMessage({ kind: 'ask', round: ask }), b.figures, nowMs);
    expect(b.sent.length - before).toBeLessThanOrEqual(32);
  });
});

describe('what arrived of a round', () => {
  it('is told when all of it did, and when it is asked for, of the last two rounds', () => {
    const arrivals = new ProbeArrivals();
    const probe = (round: number, number: number) => ({ kind: 'probe', round, number, total: 10 }) as const;
    expect(arrivals.take(probe(1, 9))).toBeNull();
    expect(arrivals.take(probe(1, 9))).toBeNull();
    expect(arrivals.ask(1)).toEqual({ kind: 'arrived', round: 1, bits: Uint8Array.of(0, 2) });
    for (const number of [0, 1, 2, 3, 4, 5, 6, 7]) expect(arrivals.take(probe(1, number))).toBeNull();
    expect(arrivals.take(probe(1, 8))).toEqual({ kind: 'arrived', round: 1, bits: Uint8Array.of(255, 3) });
    for (const round of [2, 3]) arrivals.take(probe(round, 0));
    expect(arrivals.ask(1)).toEqual({ kind: 'arrived', round: 1, bits: Uint8Array.of(0) });
  });

  it('is not mixed up by a probe that says another total', () => {
    const arrivals = new ProbeArrivals();
    arrivals.take({ kind: 'probe', round: 1, number: 0, total: 8 });
    expect(arrivals.take({ kind: 'probe', round: 1, number: 500, total: 512 })).toBeNull();
    expect(arrivals.ask(1)).toEqual({ kind: 'arrived', round: 1, bits: Uint8Array.of(1) });
  });
});
