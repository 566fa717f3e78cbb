/** What lanes found broken: kept, told, and switched off and on again, in fake time. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Logger } from '../../src/control/log.ts';
import { LaneFaults } from '../../src/offloads/lane-faults.ts';

let faults: LaneFaults;
let switched: [lane: number, family: number, isOn: boolean][];
let said: string[];

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  switched = [];
  said = [];
  const say = (message: string): unknown => said.push(message);
  const log: Logger = { debug: say, info: say, warn: say, error: say };
  const setGro = (lane: number, family: 4 | 6, isOn: boolean): unknown => switched.push([lane, family, isOn]);
  faults = new LaneFaults({ log, nowMs: () => Date.now(), setGro });
});

afterEach(() => {
  faults.close();
  vi.useRealTimers();
});

describe('datagram groups that a device refuses', () => {
  it('are held back until one passes again', () => {
    expect(faults.take({ type: 'gsoDemoted', errno: 5, offUntilMs: 1_030_000 }, 2)).toBe(true);
    expect(faults.held()).toMatchObject([{ offload: 'udp-gso', lane: 2, retrySeconds: 30 }]);
    expect(faults.holdsGso).toBe(true);
    vi.advanceTimersByTime(40_000);
    expect([faults.holdsGso, faults.held()[0]?.retrySeconds]).toEqual([false, 0]);
    faults.take({ type: 'gsoPromoted' }, 2);
    expect(faults.held()).toEqual([]);
    expect(said).toEqual(['an offload is held back for a while', 'an offload is in use again']);
  });
});

describe('super-packets that the TUN refuses', () => {
  it('are told by their kind and lane', () => {
    faults.take({ type: 'superPackets', kind: 'tcp6', offUntilMs: 1_060_000 }, 0);
    faults.take({ type: 'superPackets', kind: 'udp', offUntilMs: 1_060_000 }, 1);
    expect(faults.held()).toMatchObject([
      { offload: 'tun-tso', lane: 0, reason: expect.stringContaining('IPv6 TCP') },
      { offload: 'tun-uso', lane: 1 },
    ]);
    faults.take({ type: 'superPackets', kind: 'tcp6', offUntilMs: 0 }, 0);
    expect(faults.held().length).toBe(1);
  });
});

describe('groups that arrive damaged', () => {
  it('switch GRO of that socket off for half a minute, then for a whole one', () => {
    const mangled = { type: 'groMangled', family: 6, datagrams: 40 } as const;
    faults.take(mangled, 1);
    faults.take(mangled, 1);
    expect(switched).toEqual([[1, 6, false]]);
    vi.advanceTimersByTime(30_000);
    expect(switched.splice(0)).toEqual([
      [1, 6, false],
      [1, 6, true],
    ]);
    expect(faults.held()).toEqual([]);
    faults.take(mangled, 1);
    vi.advanceTimersByTime(59_000);
    expect(switched).toEqual([[1, 6, false]]);
    vi.advanceTimersByTime(1_000);
    expect(switched.at(-1)).toEqual([1, 6, true]);
  });

  it('of different sockets are told apart, and nothing is switched on when all is closed', () => {
    faults.take({ type: 'groMangled', family: 4, datagrams: 40 }, 0);
    faults.take({ type: 'groMangled', family: 4, datagrams: 40 }, 1);
    faults.close();
    vi.advanceTimersByTime(3_600_000);
    expect(switched).toEqual([
      [0, 4, false],
      [1, 4, false],
    ]);
  });
});

it('leaves other events to others', () => {
  expect(faults.take({ type: 'want', peer: 1 }, 0)).toBe(false);
});
