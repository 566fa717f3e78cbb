import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import { RateLimiter } from '../../src/protocol/rate-limiter.ts';
import { endpoint } from './support.ts';

function endpoint6(...address: readonly [number, number]): Endpoint {
  const bytes = new Uint8Array(16);
  [bytes[7], bytes[15]] = address;
  return { ...endpoint(0), family: 6, address: bytes };
}

/** How many of `count` messages at one moment are allowed. */
function allowed(limiter: RateLimiter, source: Endpoint, nowMs: number, count: number): number {
  return Array.from({ length: count }, () => limiter.allow(source, nowMs)).filter(Boolean).length;
}

describe('The rate limiter', () => {
  it('allows a burst of 5, then one each 50 ms', () => {
    const limiter = new RateLimiter();
    expect(allowed(limiter, endpoint(1), 1000, 10)).toBe(5);
    expect(allowed(limiter, endpoint(1), 1049, 1)).toBe(0);
    expect(allowed(limiter, endpoint(1), 1051, 2)).toBe(1);
    expect(allowed(limiter, endpoint(1), 1151, 9)).toBe(2);
  });

  it('allows 20 a second over a long time', () => {
    const limiter = new RateLimiter();
    let count = 0;
    for (let nowMs = 0; nowMs < 60_000; nowMs += 7) count += allowed(limiter, endpoint(1), nowMs, 1);
    expect(count).toBeGreaterThanOrEqual(60 * 20 - 1);
    expect(count).toBeLessThanOrEqual(60 * 20 + 5);
  });

  it('keeps addresses apart, but not the ports of one', () => {
    const limiter = new RateLimiter();
    expect(allowed(limiter, endpoint(1, 1), 0, 3)).toBe(3);
    expect(allowed(limiter, endpoint(1, 2), 0, 3)).toBe(2);
    expect(allowed(limiter, endpoint(2, 1), 0, 9)).toBe(5);
  });

  it('counts an IPv6 /64 as one', () => {
    const limiter = new RateLimiter();
    expect(allowed(limiter, endpoint6(1, 1), 0, 9)).toBe(5);
    expect(allowed(limiter, endpoint6(1, 2), 0, 9)).toBe(0);
    expect(allowed(limiter, endpoint6(2, 1), 0, 9)).toBe(5);
  });

  it('refuses unknown addresses when its table is full, and forgets idle ones within a second', () => {
    const limiter = new RateLimiter();
    const source = (number: number): Endpoint => {
      const address = Uint8Array.of(10, number >> 16, number >> 8, number);
      return { ...endpoint(0), address };
    };
    const first = Array.from({ length: 65_536 }, (_, number) => limiter.allow(source(number), 0));
    expect(first.every(Boolean)).toBe(true);
    expect(limiter.allow(source(65_536), 500)).toBe(false);
    expect(limiter.allow(source(0), 500)).toBe(true);
    expect(limiter.allow(source(65_536), 1000)).toBe(true);
  });
});
