/** What a program may ask a device for in the way of histories, and what it is told when that cannot be. */
import { describe, expect, it } from 'vitest';
import { checkChange } from '../../src/device-change-check.ts';
import { checkHistories, checkHistory } from '../../src/device-history-check.ts';
import { GigatunError } from '../../src/errors.ts';
import { HISTORIES_BYTES_MAX, type HistorySettings, NO_HISTORY, RING_BYTES_MAX } from '../../src/history/settings.ts';
import { PART_ALIGNMENT, RegionPool } from '../../src/packet/region-pool.ts';
import type { PathSettings } from '../../src/path/path-types.ts';

const PATH: PathSettings = {
  ...{ name: 'dsl', localAddress: null, localInterface: null, endpoint: null, weight: 1, isBackup: false },
};

function messageOf(action: () => void): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(GigatunError);
    return error instanceof GigatunError ? `${error.code}: ${error.message}` : '';
  }
  return '';
}

function withPath(part: Partial<PathSettings>): Partial<HistorySettings> {
  return { paths: [{ ...PATH, ...part }] };
}

describe('settings for sending more than once', () => {
  it('that make sense are taken', () => {
    const paths = [
      { ...PATH, localAddress: '192.0.2.1', endpoint: { address: '192.0.2.2', port: 1 } },
      { ...PATH, name: 'lte', localInterface: 'wwan0', endpoint: { address: '2001:db8::1', port: 65_535 } },
    ];
    expect(messageOf(() => checkHistory({ ...NO_HISTORY, paths, retransmitMs: 150, holdMs: 0 }))).toBe('');
  });

  it.each<[string, Partial<HistorySettings>]>([
    ['copies in all from 1 to 4, got 5', { copies: { ...NO_HISTORY.copies, count: 5 } }],
    ['ms between copies from 0 to 1000, got NaN', { copies: { ...NO_HISTORY.copies, delayMs: Number.NaN } }],
    [
      'a DSCP from 0 to 63, got 64',
      { copies: { ...NO_HISTORY.copies, only: { small: true, handshake: true, dscps: [64] } } },
    ],
    ['ms of retransmission from 0 to 10000, got 10001', { retransmitMs: 10_001 }],
    ['a budget of repeats, as a share, from 0 to 1, got 2', { retransmitBudget: 2 }],
    ['ms of hold time from 0 to 10000, got Infinity', { holdMs: Number.POSITIVE_INFINITY }],
    ['datagrams in a block from 1 to 32, got 0', { fec: { ...NO_HISTORY.fec, data: 0 } }],
    ['parities of a block from 1 to 8, got 1.5', { fec: { ...NO_HISTORY.fec, parity: 1.5 } }],
    ['bytes of history from 1048576 to 67108864, got 1', { ringBytes: 1 }],
    ['paths from 0 to 8, got 9', { paths: Array.from({ length: 9 }, (_, at) => ({ ...PATH, name: `p${at}` })) }],
    ['a name of its own for each path', { paths: [PATH, PATH] }],
    ["a path's name of 1 to 15", withPath({ name: 'a b' })],
    ["a numeric local address for path dsl, got 'eth0'", withPath({ localAddress: 'eth0' })],
    ["an interface for path dsl, got '../x'", withPath({ localInterface: '../x' })],
    ["an endpoint's port from 1 to 65535, got 0", withPath({ endpoint: { address: '192.0.2.1', port: 0 } })],
    ['a numeric endpoint address', withPath({ endpoint: { address: 'vpn.example.com', port: 1 } })],
    ['of one IP version', withPath({ localAddress: '192.0.2.1', endpoint: { address: '::1', port: 1 } })],
    ['a weight from 1 to 1000, got 0', withPath({ weight: 0 })],
  ])('are refused: expected %s', (expected, part) => {
    expect(messageOf(() => checkHistory({ ...NO_HISTORY, ...part }))).toContain(expected);
    const peer = { publicKey: new Uint8Array(32), history: { ...NO_HISTORY, ...part } };
    expect(messageOf(() => void checkChange({ peers: [peer] }))).toContain(expected);
  });

  it('are taken away with null', () => {
    expect(checkChange({ peers: [{ publicKey: new Uint8Array(32), history: null }] })[0]?.history).toBeNull();
  });
});

describe('the settings of all peers', () => {
  const kept: HistorySettings = { ...NO_HISTORY, retransmitMs: 150, ringBytes: RING_BYTES_MAX };

  it('may keep 128 MiB together', () => {
    expect(messageOf(() => checkHistories([kept, kept], 1))).toBe('');
    const sentOnce = { ...NO_HISTORY, ringBytes: RING_BYTES_MAX };
    expect(messageOf(() => checkHistories([kept, kept, sentOnce], 1))).toBe('');
    const message = messageOf(() => checkHistories([kept, kept, { ...kept, ringBytes: 1_048_576 }], 1));
    expect(message).toMatch(/^CONFIG: expected at most 128 MiB .* got 129 MiB; set History to less/);
  });

  it('ask for the hold of packets in order and for what parity needs, too', () => {
    const most = { ...kept, ringBytes: RING_BYTES_MAX };
    const message = messageOf(() => checkHistories([most, { ...most, inOrder: 'tcp' }], 1));
    expect(message).toContain('got 132 MiB');
    const fec = { ...NO_HISTORY.fec, mode: 'on' } as const;
    expect(messageOf(() => checkHistories([most, { ...most, fec }], 1))).toContain('got 131 MiB');
  });

  it('find room in a lane when they are admitted', () => {
    const pool = new RegionPool(64, HISTORIES_BYTES_MAX + PART_ALIGNMENT);
    expect([RING_BYTES_MAX, RING_BYTES_MAX].map((bytes) => pool.take(bytes) !== -1)).toEqual([true, true]);
  });

  it('need one lane where one must see all counters of a peer', () => {
    const copies = { ...NO_HISTORY, copies: { ...NO_HISTORY.copies, count: 2 } };
    expect(messageOf(() => checkHistories([copies], 4))).toBe('');
    expect(messageOf(() => checkHistories([copies, kept], 4))).toMatch(
      /^CONFIG: expected one lane .* got 4 lanes; set Lanes/,
    );
  });
});
