/** What time does to a peer: retransmission, giving up, crossing initiations, keepalives without a keypair, zeroing. */
import { describe, expect, it } from 'vitest';
import type { Action } from '../../src/protocol/action.ts';
import { WIREGUARD_TIMING as TIMING } from '../../src/protocol/constants.ts';
import type { PeerTimes } from '../../src/protocol/timers.ts';
import { failureIn, kinds, messageIn, only, type Side, twoSides } from './support.ts';

const ZERO_AFTER_MS = 540_000;

/** All that happens by itself up to a time, with the moment it happened. */
function run(side: Side, untilMs: number, times: Partial<PeerTimes> = {}): [number, Action][] {
  const happened: [number, Action][] = [];
  while (side.nextMs <= untilMs) {
    const nowMs = side.nextMs;
    for (const action of side.activity(nowMs, times)) happened.push([nowMs, action]);
  }
  return happened;
}

function momentsOf(happened: readonly [number, Action][], kind: Action['kind']): number[] {
  return happened.filter(([, action]) => action.kind === kind).map(([atMs]) => atMs);
}

/** A complete handshake started by `a`; returns when it was done. */
function shake(a: Side, b: Side, nowMs: number): number {
  const answer = b.receive(messageIn(a.want(nowMs)), a, nowMs + 1);
  a.receive(messageIn(answer), b, nowMs + 2);
  b.machine.confirmed(b.peer, only(answer, 'install')[0].keypair.id, nowMs + 3);
  return nowMs + 3;
}

describe('An initiation without an answer', () => {
  it('is sent again each 5 s and up to 333 ms, from a new source, until 90 s have passed', () => {
    const { a } = twoSides();
    a.want(1000);
    const happened = run(a, 1_000_000);
    const moments = [1000, ...momentsOf(happened, 'send')];
    const pauses = moments.slice(1).map((atMs, position) => atMs - moments[position]);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(5000);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(5333);
    expect(new Set(pauses).size).toBeGreaterThan(5);
    expect(moments.at(-1)).toBeLessThan(91_000);
    expect(moments.length).toBeGreaterThanOrEqual(17);
    for (const [, action] of happened)
      if (action.kind === 'send') expect([action.to, action.forgetSource]).toEqual([null, true]);
  });

  it('differs from the one before in index, keys and timestamp', () => {
    const { a } = twoSides();
    const first = messageIn(a.want(1000));
    const second = messageIn(a.activity(a.nextMs));
    for (const [start, end] of [
      [4, 8],
      [8, 40],
      [40, 88],
      [88, 116],
    ]) {
      expect(second.subarray(start, end)).not.toEqual(first.subarray(start, end));
    }
  });

  it('is given up with its staged packets, and sent again as soon as data wants it', () => {
    const { a } = twoSides();
    a.want(1000);
    const happened = run(a, 200_000);
    const [givenUpMs] = momentsOf(happened, 'dropStaged');
    expect(givenUpMs).toBeGreaterThanOrEqual(91_000);
    expect(givenUpMs).toBeLessThan(97_000);
    expect(happened.filter(([atMs]) => atMs === givenUpMs).map(([, { kind }]) => kind)).toEqual([
      'dropStaged',
      'failed',
    ]);
    expect(a.machine.status(a.peer)).toMatchObject({ lastFailure: 'no answer', handshakeUnderWay: false });
    expect(kinds(a.want(200_000))).toContain('send');
  });

  it('is not given up while data goes on wanting it, nor sent more often for that', () => {
    const { a } = twoSides();
    const sent: number[] = [];
    for (let nowMs = 1000; nowMs < 300_000; nowMs += 100) {
      const actions = [...a.want(nowMs), ...(a.nextMs <= nowMs ? a.activity(nowMs) : [])];
      expect(kinds(actions)).not.toContain('dropStaged');
      if (kinds(actions).includes('send')) sent.push(nowMs);
    }
    const pauses = sent.slice(1).map((atMs, position) => atMs - sent[position]);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(5000);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(5500);
  });

  it('takes its answer even after it was given up, until key material is zeroed', () => {
    const { a, b } = twoSides();
    a.want(1000);
    const last = only(
      run(a, 300_000).map(([, action]) => action),
      'send',
    ).at(-1);
    const response = messageIn(b.receive(last?.message ?? new Uint8Array(0), a, 300_001));
    expect(kinds(a.receive(response, b, 300_002))).toContain('install');
  });

  it('is cleared away 540 s after it was given up', () => {
    const { a, b } = twoSides();
    a.want(1000);
    const happened = run(a, 2_000_000);
    const last = only(
      happened.map(([, action]) => action),
      'send',
    ).at(-1);
    const response = messageIn(b.receive(last?.message ?? new Uint8Array(0), a, 1_000_000));
    expect(failureIn(a.receive(response, b, 1_000_001))).toBe('unexpected response');
    const [givenUpMs, zeroedMs] = momentsOf(happened, 'dropStaged');
    expect(zeroedMs - givenUpMs).toBe(ZERO_AFTER_MS);
    expect(a.nextMs).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('A wish for a handshake', () => {
  it('is served at once, and not twice', () => {
    const { a } = twoSides();
    expect(kinds(a.want(1000))).toContain('send');
    expect(a.want(1001)).toEqual([]);
    expect(a.want(3000)).toEqual([]);
  });

  it('that comes within 5 s of our last handshake message is served when they are over', () => {
    const { a, b } = twoSides();
    const doneMs = shake(a, b, 1000);
    expect(a.want(doneMs)).toEqual([]);
    expect(b.want(doneMs)).toEqual([]);
    for (const [side, lastMs] of [
      [a, 1000],
      [b, 1001],
    ] as const) {
      expect(side.nextMs).toBeGreaterThanOrEqual(lastMs + 5000);
      expect(side.nextMs).toBeLessThanOrEqual(lastMs + 5333);
      expect(kinds(side.activity(side.nextMs))).toContain('send');
    }
  });

  it('still makes timestamps grow when the clock has gone back', () => {
    const { a, b } = twoSides();
    const first = messageIn(a.machine.wantHandshake(a.peer, 1000, 1_700_000_000_000));
    expect(failureIn(b.receive(first, a, 1001))).toBeNull();
    const second = messageIn(
      a.machine.activity(
        a.peer,
        { unansweredSinceMs: 0, owedSinceMs: 0, lastDataReceivedMs: 0, lastSentMs: 0, lastReceivedMs: 0 },
        7000,
        1_600_000_000_000,
      ),
    );
    expect(failureIn(b.receive(second, a, 7001))).toBeNull();
  });
});

describe('Two initiations that cross', () => {
  it('replace each other, so that neither is answered, and the first retransmission wins', () => {
    const { a, b } = twoSides();
    const [fromA, fromB] = [messageIn(a.want(1000)), messageIn(b.want(1000))];
    const [toB, toA] = [messageIn(a.receive(fromB, b, 1020)), messageIn(b.receive(fromA, a, 1020))];
    expect(failureIn(b.receive(toB, a, 1040))).toBe('unexpected response');
    expect(failureIn(a.receive(toA, b, 1040))).toBe('unexpected response');
    const [first, second] = a.nextMs < b.nextMs ? [a, b] : [b, a];
    const nowMs = first.nextMs;
    const answer = second.receive(messageIn(first.activity(nowMs)), first, nowMs + 1);
    expect(kinds(first.receive(messageIn(answer), second, nowMs + 2))).toContain('install');
    const { id } = only(answer, 'install')[0].keypair;
    expect(kinds(second.machine.confirmed(second.peer, id, nowMs + 3))).toEqual(['promote']);
    expect([first, second].map((side) => side.machine.status(side.peer).handshakeUnderWay)).toEqual([false, false]);
  });
});

describe('A keepalive', () => {
  it('goes out on a keypair that is not too old, and otherwise asks for a handshake', () => {
    const { a, b } = twoSides();
    const doneMs = shake(a, b, 1000);
    const owed = (sinceMs: number) => ({ owedSinceMs: sinceMs, lastDataReceivedMs: sinceMs, lastReceivedMs: sinceMs });
    expect(kinds(b.activity(doneMs + 20_000, owed(doneMs + 10_000)))).toEqual(['keepalive']);
    const rejectMs = 1001 + TIMING.REJECT_AFTER_TIME_MS;
    expect(kinds(b.activity(rejectMs - 1, owed(rejectMs - 10_001)))).toEqual(['keepalive']);
    expect(kinds(b.activity(rejectMs, owed(rejectMs - 10_000)))).toEqual(['send', 'clearTime']);
  });

  it('that is persistent makes the first handshake, and starts again 25 s after the last vain initiation', () => {
    const { a } = twoSides(TIMING, { persistentKeepaliveSeconds: 25 });
    expect(a.nextMs).toBe(0);
    expect(kinds(a.activity(1000))).toEqual(['send', 'clearTime']);
    const happened = run(a, 990_000);
    const sent = momentsOf(happened, 'send');
    const pauses = sent.slice(1).map((atMs, position) => atMs - sent[position]);
    expect(pauses.filter((pauseMs) => pauseMs === 25_000).length).toBe(momentsOf(happened, 'dropStaged').length);
    expect(pauses.every((pauseMs) => pauseMs === 25_000 || pauseMs <= 5333)).toBe(true);
    expect(sent.at(-1)).toBeGreaterThan(970_000);
  });
});

describe('A new handshake after silence', () => {
  it('forgets the source address and the mark of unanswered data', () => {
    const { a, b } = twoSides();
    shake(a, b, 1000);
    const actions = a.activity(40_000, { unansweredSinceMs: 20_000, lastSentMs: 30_000 });
    expect(kinds(actions)).toEqual(['clearTime', 'send', 'clearTime']);
    expect(only(actions, 'send')[0].forgetSource).toBe(true);
    expect(only(actions, 'clearTime')[0].time).toBe('unansweredSinceMs');
  });
});

describe('Key material', () => {
  it('is zeroed 540 s after the last handshake, at both ends, and nothing is due after that', () => {
    const { a, b } = twoSides();
    shake(a, b, 1000);
    shake(a, b, 10_000);
    const happened = [run(a, 1_000_000), run(b, 1_000_000)];
    expect(happened.map((one) => one.map(([, { kind }]) => kind))).toEqual([
      ['retire', 'retire', 'dropStaged'],
      ['retire', 'retire', 'dropStaged'],
    ]);
    expect(happened.map((one) => momentsOf(one, 'retire')[0])).toEqual([
      10_002 + ZERO_AFTER_MS,
      10_001 + ZERO_AFTER_MS,
    ]);
    expect([a.nextMs, b.nextMs]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  });

  it('is zeroed without hurting a handshake that is under way', () => {
    const { a, b } = twoSides();
    shake(a, b, 1000);
    const initiation = messageIn(a.want(1002 + ZERO_AFTER_MS - 50));
    const zeroed = a.activity(1002 + ZERO_AFTER_MS);
    expect(kinds(zeroed)).toEqual(['retire']);
    const answer = b.receive(initiation, a, 1002 + ZERO_AFTER_MS + 10);
    expect(kinds(a.receive(messageIn(answer), b, 1002 + ZERO_AFTER_MS + 20))).toContain('install');
  });
});
