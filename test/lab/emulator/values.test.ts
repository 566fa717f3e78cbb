import { describe, expect, it } from 'vitest';
import { readBlackout, readBurst, readMs, readRate, readShare } from '../../../src/lab/emulator/values.ts';

const good = <T>(value: T) => ({ ok: true, value });

describe("the emulator's options", () => {
  it('read times', () => {
    expect(['20ms', '1.5s', '500us', '7', '1m'].map((text) => readMs(text))).toEqual(
      [20, 1_500, 0.5, 7, 60_000].map(good),
    );
  });

  it('read shares', () => {
    expect(['1%', '0.01', '100%', '0'].map((text) => readShare(text))).toEqual([0.01, 0.01, 1, 0].map(good));
  });

  it('read rates', () => {
    expect(['100mbit', '1.5gbit', '512kbit', '9600bit/s'].map((text) => readRate(text))).toEqual(
      [1e8, 1.5e9, 512e3, 9_600].map(good),
    );
  });

  it('read bursts and blackouts', () => {
    expect(readBurst('5%/8')).toEqual(good({ share: 0.05, length: 8 }));
    expect(readBlackout('5s+2s')).toEqual(good({ startMs: 5_000, lengthMs: 2_000, everyMs: null }));
    expect(readBlackout('5s+500ms/20s')).toEqual(good({ startMs: 5_000, lengthMs: 500, everyMs: 20_000 }));
  });

  it.each([
    ['a time', readMs, '20 parsecs'],
    ['a time', readMs, ''],
    ['a share', readShare, '101%'],
    ['a share', readShare, '2'],
    ['a share', readShare, '1'],
    ['a rate', readRate, '100'],
    ['a burst', readBurst, '5%'],
    ['a burst', readBurst, '5%/x'],
    ['a blackout', readBlackout, '5s'],
    ['a blackout', readBlackout, '5s+2s/never'],
  ])('refuse what is not %s: %s', (_what, read, text) => {
    expect(read(text)).toMatchObject({ ok: false, complaint: { hint: expect.stringContaining('as in') } });
  });
});
