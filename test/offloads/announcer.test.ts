/** Who announces itself to whom, and how often: hours of fake time, with announcements that get lost. */
import { describe, expect, it } from 'vitest';
import { Announcer } from '../../src/offloads/announcer.ts';
import type { ControlMessage } from '../../src/protocol/control-message.ts';

const HOUR_MS = 3_600_000;
const KEYPAIR_MS = 120_000;
type Announcement = Extract<ControlMessage, { kind: 'announce' }>;

function isAnnouncement(message: ControlMessage | null): message is Announcement {
  return message?.kind === 'announce';
}

/** Carries announcements between two for the life of a keypair; `isLost` picks those that get lost. */
function talk(left: Announcer, right: Announcer, startMs: number, isLost: (number: number) => boolean): number {
  let sent = 0;
  const post = (message: ControlMessage | null, to: Announcer, from: Announcer, nowMs: number): void => {
    if (!isAnnouncement(message)) return;
    sent += 1;
    if (!isLost(sent)) post(to.take(message, nowMs), from, to, nowMs);
  };
  const first = [left.newKeypair(startMs), right.newKeypair(startMs)];
  post(first[0], right, left, startMs);
  post(first[1], left, right, startMs);
  for (let nowMs = startMs; nowMs < startMs + KEYPAIR_MS; nowMs += 250) {
    post(left.due(nowMs), right, left, nowMs);
    post(right.due(nowMs), left, right, nowMs);
  }
  return sent;
}

describe('two gigatuns', () => {
  it('find each other with a handful of announcements', () => {
    const [left, right] = [new Announcer(true), new Announcer(true)];
    expect(talk(left, right, 0, () => false)).toBeLessThanOrEqual(6);
    expect([left.isHeard, right.isHeard]).toEqual([true, true]);
    expect([left.dueMs, right.dueMs]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  });

  it('find each other although announcements get lost, if one arrives', () => {
    for (let lost = 1; lost < 64; lost += 1) {
      const [left, right] = [new Announcer(true), new Announcer(true)];
      const isLost = (number: number): boolean => ((lost >> (number - 1)) & 1) === 1;
      expect(talk(left, right, 0, isLost)).toBeLessThanOrEqual(16);
      if ((lost & 3) !== 3) expect([left.isHeard, right.isHeard]).toEqual([true, true]);
    }
  });

  it('go on from keypair to keypair, and notice that the other has become a stranger', () => {
    const [left, right] = [new Announcer(true), new Announcer(true)];
    for (let keypair = 0; keypair < 5; keypair += 1) talk(left, right, keypair * KEYPAIR_MS, () => false);
    expect(left.isHeard).toBe(true);
    left.newKeypair(6 * KEYPAIR_MS);
    expect(left.isHeard).toBe(true);
    left.newKeypair(7 * KEYPAIR_MS);
    expect([left.isHeard, left.capabilities]).toEqual([false, 0]);
  });

  it('know each other still when the first announcements on a new keypair get lost', () => {
    const [left, right] = [new Announcer(true), new Announcer(true)];
    talk(left, right, 0, () => false);
    expect(talk(left, right, KEYPAIR_MS, (number) => number <= 2)).toBeGreaterThan(2);
    for (const end of [left, right]) end.newKeypair(2 * KEYPAIR_MS);
    expect([left.isHeard, right.isHeard]).toEqual([true, true]);
  });

  it('tell one that has become a stranger a few times, and then once in an hour', () => {
    const announcer = new Announcer(true);
    talk(announcer, new Announcer(true), 0, () => false);
    const stranger = new Announcer(false);
    expect(talk(announcer, stranger, KEYPAIR_MS, () => false)).toBe(7);
    let later = 0;
    for (let keypair = 2; keypair < 30; keypair += 1)
      later += talk(announcer, stranger, keypair * KEYPAIR_MS, () => false);
    expect(later).toBe(0);
  });

  it('find each other again when one was started anew', () => {
    const left = new Announcer(true);
    talk(left, new Announcer(true), 0, () => false);
    const anew = new Announcer(true);
    talk(left, anew, KEYPAIR_MS, () => false);
    expect(anew.isHeard).toBe(true);
  });
});

describe('a stock peer', () => {
  it('gets one announcement in an hour, however many keypairs there are', () => {
    const announcer = new Announcer(true);
    let announcements = 0;
    for (let nowMs = 0; nowMs < HOUR_MS; nowMs += 1_000) {
      if (nowMs % KEYPAIR_MS === 0 && announcer.newKeypair(nowMs) !== null) announcements += 1;
      if (announcer.due(nowMs) !== null) announcements += 1;
    }
    expect(announcements).toBe(1);
    expect(announcer.newKeypair(HOUR_MS)).not.toBeNull();
  });

  it('gets none where announcing is off, which also hears none', () => {
    const announcer = new Announcer(false);
    expect(announcer.newKeypair(0)).toBeNull();
    expect(announcer.take({ kind: 'announce', capabilities: 3, heard: false }, 0)).toBeNull();
    expect([announcer.isHeard, announcer.due(HOUR_MS)]).toEqual([false, null]);
  });
});

describe('somebody who announces without end', () => {
  it('is answered eight times per keypair at most', () => {
    const announcer = new Announcer(true);
    announcer.newKeypair(0);
    const answers = Array.from({ length: 100 }, (_, index) =>
      announcer.take({ kind: 'announce', capabilities: 0, heard: false }, index),
    );
    expect(answers.filter((answer) => answer !== null).length).toBe(7);
  });
});
