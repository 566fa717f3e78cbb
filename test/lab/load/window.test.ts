/** The window of the QUIC-like sender. */
import { describe, expect, it } from 'vitest';
import { CongestionWindow } from '../../../src/lab/load/window.ts';

describe('the window', () => {
  it('doubles by the round trip until something is lost, up to its limit', () => {
    const window = new CongestionWindow(100);
    window.acknowledge(32, 32, 32);
    expect(window.size).toBe(64);
    window.acknowledge(96, 96, 96);
    expect(window.size).toBe(100);
    expect(window.acknowledged).toBe(96);
  });
  it('is cut once for all losses of one round trip', () => {
    const window = new CongestionWindow(1_000);
    window.acknowledge(10, 9, 40);
    expect(window.size).toBeCloseTo(32 * 0.7);
    window.acknowledge(40, 35, 60);
    expect(window.cuts).toBe(1);
    window.acknowledge(50, 44, 90);
    expect(window.cuts).toBe(2);
  });
  it('grows by one a round trip after a loss', () => {
    const window = new CongestionWindow(1_000);
    window.acknowledge(40, 39, 40);
    const { size } = window;
    window.acknowledge(40 + Math.round(size), 39 + Math.round(size), 100);
    expect(window.size).toBeCloseTo(size + 1, 0);
  });
  it('falls to its least when nothing is heard, and recovers without a second cut', () => {
    const window = new CongestionWindow(1_000);
    window.acknowledge(32, 32, 64);
    window.expire(96);
    expect({ size: window.size, acknowledged: window.acknowledged }).toEqual({ size: 4, acknowledged: 96 });
    window.acknowledge(100, 40, 100);
    expect(window.size).toBe(8);
    expect(window.cuts).toBe(1);
  });
  it('believes no acknowledgement of what was not sent, nor an old one', () => {
    const window = new CongestionWindow(1_000);
    window.acknowledge(50, 50, 40);
    expect(window).toMatchObject({ size: 32, acknowledged: 0 });
    window.acknowledge(30, 30, 40);
    window.acknowledge(20, 20, 40);
    expect(window.acknowledged).toBe(30);
  });
});
