/**
 * The timers by the lanes' times alone: each deadline by example, and all of them against a twin with real timers over
 * random traffic. `Lane` notes times as the lanes do, and looks at the timers no more often than it must.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WIREGUARD_TIMING as TIMING } from '../../src/protocol/constants.ts';
import { PeerTimers, type PeerTimes } from '../../src/protocol/timers.ts';
import { type Expiry, ReferenceTimers } from '../reference/peer-timers.ts';
import { NO_TIMES } from './support.ts';

const KEEPALIVE_MS = TIMING.KEEPALIVE_TIMEOUT_MS;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** A lane and its control lane: events go in, expiries come out. */
class Lane {
  readonly timers: PeerTimers;
  readonly times: Mutable<PeerTimes> = { ...NO_TIMES };
  readonly expired: [number, Expiry][] = [];
  #lookMs = 0;

  constructor(persistentSeconds = 0, jitterMs = 0) {
    this.timers = new PeerTimers(TIMING, () => jitterMs);
    this.timers.setPersistentKeepalive(persistentSeconds);
    // The one that is due when it is switched on.
    if (persistentSeconds > 0) this.timers.takeKeepalive(0);
  }

  /** Lets time pass: looks at deadlines, and each KEEPALIVE_TIMEOUT. */
  run(untilMs: number): void {
    for (;;) {
      const nextMs = Math.min(this.timers.nextDeadlineMs, this.#lookMs + KEEPALIVE_MS);
      if (nextMs > untilMs) return;
      this.#look(nextMs);
    }
  }

  dataSent(nowMs: number): void {
    this.times.unansweredSinceMs ||= nowMs;
    this.anythingSent(nowMs);
  }

  dataReceived(nowMs: number): void {
    this.times.owedSinceMs ||= nowMs;
    this.times.lastDataReceivedMs = nowMs;
    this.anythingReceived(nowMs);
  }

  anythingSent(nowMs: number): void {
    this.times.owedSinceMs = 0;
    this.times.lastSentMs = nowMs;
  }

  anythingReceived(nowMs: number): void {
    this.times.unansweredSinceMs = 0;
    this.times.lastReceivedMs = nowMs;
  }

  #look(nowMs: number): void {
    this.#lookMs = nowMs;
    this.timers.observe(this.times);
    if (this.timers.takeNewHandshake(nowMs)) {
      this.expired.push([nowMs, 'newHandshake']);
      this.times.unansweredSinceMs = 0;
    }
    if (this.timers.takeKeepalive(nowMs)) {
      this.expired.push([nowMs, 'keepalive']);
      this.anythingSent(nowMs);
    }
  }
}

describe('A passive keepalive', () => {
  it('comes 10 s after the first data that was not answered', () => {
    const lane = new Lane();
    lane.dataReceived(1003);
    lane.run(100_000);
    expect(lane.expired).toEqual([[11_003, 'keepalive']]);
  });

  it('does not wait longer because more data comes, and is then followed by another', () => {
    const lane = new Lane();
    lane.dataReceived(1000);
    lane.run(9000);
    lane.dataReceived(9000);
    lane.run(100_000);
    expect(lane.expired).toEqual([
      [11_000, 'keepalive'],
      [21_000, 'keepalive'],
    ]);
  });

  it('goes on each 10 s while data comes, and ends once the last data has been answered by another', () => {
    const lane = new Lane();
    for (let nowMs = 500; nowMs < 35_000; nowMs += 500) {
      lane.run(nowMs);
      lane.dataReceived(nowMs);
    }
    lane.run(200_000);
    expect(lane.expired.map(([atMs]) => atMs)).toEqual([10_500, 20_500, 30_500, 40_500, 50_500]);
  });

  it('does not come when anything was sent meanwhile', () => {
    const lane = new Lane();
    lane.dataReceived(1000);
    lane.run(10_999);
    lane.anythingSent(10_999);
    lane.run(100_000);
    expect(lane.expired).toEqual([]);
  });

  it('is not followed by another when something was sent after it', () => {
    const lane = new Lane();
    lane.dataReceived(1000);
    lane.run(9000);
    lane.dataReceived(9000);
    lane.run(15_000);
    lane.anythingSent(15_000);
    lane.run(100_000);
    expect(lane.expired).toEqual([[11_000, 'keepalive']]);
  });

  it('does not answer a keepalive', () => {
    const lane = new Lane();
    lane.anythingReceived(1000);
    lane.run(100_000);
    expect(lane.expired).toEqual([]);
    expect(lane.timers.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('is spared when a handshake message goes out', () => {
    const lane = new Lane();
    lane.dataReceived(1000);
    lane.run(5000);
    lane.timers.observe(lane.times);
    lane.timers.handshakeMessageSent(5000);
    lane.times.owedSinceMs = 0;
    lane.run(100_000);
    expect(lane.expired).toEqual([]);
  });

  it('is ordered once, however long the lane takes to send it', () => {
    const lane = new Lane();
    lane.dataReceived(1000);
    lane.timers.observe(lane.times);
    expect(lane.timers.takeKeepalive(11_000)).toBe(true);
    lane.timers.observe(lane.times);
    expect(lane.timers.takeKeepalive(11_001)).toBe(false);
    expect(lane.timers.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('A new handshake', () => {
  it('is due 15 s and jitter after the first data that nothing was heard since', () => {
    const lane = new Lane(0, 333);
    lane.dataSent(2000);
    lane.run(14_000);
    lane.dataSent(14_000);
    lane.run(17_332.9);
    expect(lane.expired).toEqual([]);
    lane.run(17_333);
    expect(lane.expired).toEqual([[17_333, 'newHandshake']]);
  });

  it('is due again only after data was sent again', () => {
    const lane = new Lane();
    lane.dataSent(1000);
    lane.run(60_000);
    expect(lane.expired).toEqual([[16_000, 'newHandshake']]);
    lane.dataSent(60_000);
    lane.run(100_000);
    expect(lane.expired.slice(1)).toEqual([[75_000, 'newHandshake']]);
  });

  it('is not due when anything authentic was heard, a keepalive or a handshake message', () => {
    const lane = new Lane();
    lane.dataSent(1000);
    lane.run(15_999);
    lane.anythingReceived(15_999);
    lane.dataSent(20_000);
    lane.run(30_000);
    lane.timers.handshakeMessageReceived(30_000);
    lane.run(100_000);
    expect(lane.expired).toEqual([]);
  });

  it('does not follow from sending keepalives', () => {
    const lane = new Lane();
    lane.anythingSent(1000);
    lane.run(100_000);
    expect(lane.expired).toEqual([]);
  });
});

describe('A persistent keepalive', () => {
  it('is due at once when switched on, then each interval', () => {
    const timers = new PeerTimers(TIMING, () => 0);
    timers.setPersistentKeepalive(25);
    expect(timers.nextDeadlineMs).toBe(0);
    expect(timers.takeKeepalive(7000)).toBe(true);
    expect(timers.nextDeadlineMs).toBe(32_000);
  });

  it('waits anew when anything authentic goes either way', () => {
    const lane = new Lane(25);
    lane.anythingReceived(10_000);
    lane.run(20_000);
    lane.anythingSent(20_000);
    lane.run(44_999);
    expect(lane.expired).toEqual([]);
    lane.run(80_000);
    expect(lane.expired).toEqual([
      [45_000, 'keepalive'],
      [70_000, 'keepalive'],
    ]);
  });

  it('comes at its interval when that is shorter than any other time', () => {
    const lane = new Lane(1);
    lane.run(5000);
    expect(lane.expired.map(([atMs]) => atMs)).toEqual([1000, 2000, 3000, 4000, 5000]);
  });

  it('follows a new interval, and stops when switched off', () => {
    const timers = new PeerTimers(TIMING, () => 0);
    timers.setPersistentKeepalive(60);
    timers.takeKeepalive(1000);
    timers.setPersistentKeepalive(5);
    expect(timers.nextDeadlineMs).toBe(6000);
    timers.setPersistentKeepalive(0);
    expect(timers.nextDeadlineMs).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('The timers', () => {
  it('agree with real timers over random traffic', () => {
    const event = fc.record({
      pauseMs: fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 40_000 })),
      kind: fc.constantFrom('dataSent', 'dataReceived', 'anythingSent', 'anythingReceived'),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), fc.constantFrom(0, 3, 12, 25), (events, persistentSeconds) => {
        const lane = new Lane(persistentSeconds);
        const twin = new Twin(persistentSeconds);
        let nowMs = 0;
        for (const { pauseMs, kind } of events) {
          // Times keep a fraction of their own, so that no event meets a deadline of an earlier one.
          nowMs = Math.floor(nowMs) + pauseMs + (0.5 * (pauseMs % 7)) / 7;
          if (isKeepaliveItself(twin, nowMs, kind)) continue;
          twin.run(nowMs);
          lane.run(nowMs);
          twin.timers[kind as 'dataSent'](nowMs);
          lane[kind as 'dataSent'](nowMs);
        }
        twin.run(nowMs + 100_000);
        lane.run(nowMs + 100_000);
        expect(lane.expired).toEqual(twin.expired);
      }),
      { numRuns: 1500 },
    );
  });
});

/** Something sent within a second after a keepalive is taken for that keepalive: such traffic is left out here. */
function isKeepaliveItself(twin: Twin, nowMs: number, kind: string): boolean {
  twin.run(nowMs);
  const [lastMs] = twin.expired.findLast(([, expiry]) => expiry === 'keepalive') ?? [Number.NEGATIVE_INFINITY];
  return kind.endsWith('Sent') && nowMs - lastMs <= KEEPALIVE_MS / 10;
}

class Twin {
  readonly timers: ReferenceTimers;
  readonly expired: [number, Expiry][] = [];

  constructor(persistentSeconds: number) {
    this.timers = new ReferenceTimers(TIMING, persistentSeconds * 1000);
  }

  run(untilMs: number): void {
    while (this.timers.nextMs <= untilMs) this.expired.push([this.timers.nextMs, this.timers.expire()]);
  }
}
