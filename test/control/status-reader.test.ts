/** What comes over a control socket is used only if nothing of it is missing: every field is taken away once. */
import { describe, expect, it } from 'vitest';
import { asRecord } from '../../src/control/control-protocol.ts';
import { readSnapshot, readStatus } from '../../src/control/status-reader.ts';
import type { DeviceStatus } from '../../src/device-types.ts';
import type { HistoryStatus } from '../../src/ledger/history-figures.ts';
import { type DeviceSnapshot, sumSnapshots } from '../../src/ledger/snapshot.ts';

const LANE = sumSnapshots([]);
const FIGURES = { seconds: 1, counts: {}, sums: {}, lossBefore: null, lossAfter: 0 };
const HISTORY: HistoryStatus = {
  mode: 'failover',
  paths: [
    {
      ...{ name: 'dsl', state: 'alive', use: 'first', local: 'eth0', endpoint: null },
      ...{ rttMs: 20, loss: null, rateBytesPerSecond: null, heardAgoMs: null, total: {}, intervals: [{}] },
    },
  ],
  total: FIGURES,
  intervals: [FIGURES],
};
const SNAPSHOT: DeviceSnapshot = {
  ...{
    interface: 'wg0',
    aead: 'openssl',
    peersByCipher: {},
    heldOffloads: [],
    heldGroupPeersCount: 0,
    histories: [{ publicKey: 'y', ...HISTORY }],
    takenAtMs: 1,
    wallNs: 2,
    rssBytes: 3,
    memoryCapBytes: null,
    memoryCrossingsCount: 0,
    processCpuNs: 4,
  },
  lanes: [LANE, LANE],
  total: LANE,
};
const STATUS: DeviceStatus = {
  ...{ interface: 'wg0', publicKey: 'x', listenPort: 1, fwmark: 0, mtu: 1420, up: true, aead: 'openssl', lanes: 1 },
  ...{ offloads: ['gso'], heldOffloads: [], pid: 1 },
  ...{ rssBytes: 3, memoryCapBytes: 100e6, memoryCrossingsCount: 0 },
  peers: [
    {
      ...{ publicKey: 'y', endpoint: null, allowedIps: ['::/0'], latestHandshakeMs: 0, rxBytes: 0, txBytes: 0 },
      ...{ persistentKeepaliveSeconds: 0, hasPresharedKey: false, isGigatun: false, groupDatagramsMax: 64 },
      ...{ groupShortTail: true, groupRetrySeconds: null, lastFailure: null, cipher: null },
      history: HISTORY,
    },
  ],
};

/** Every field of an object and of the objects in it, as the way to it; of an array, the first entry stands for all. */
function waysIn(value: unknown): string[][] {
  if (Array.isArray(value)) return waysIn(value[0]).map((way) => ['0', ...way]);
  const fields = Object.entries(asRecord(value));
  return fields.flatMap(([key, inner]) => [[key], ...waysIn(inner).map((way) => [key, ...way])]);
}

/** A copy that lacks one field. */
function without(value: unknown, [key = '', ...rest]: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((entry, at) => (String(at) === key ? without(entry, rest) : entry));
  const { [key]: inner, ...others } = asRecord(value);
  return rest.length === 0 ? others : { ...others, [key]: without(inner, rest) };
}

describe.each<[string, (value: unknown) => unknown, unknown, number]>([
  ['a snapshot', readSnapshot, SNAPSHOT, 100],
  ['a status', readStatus, STATUS, 15],
])('%s', (_, read, whole, leastCount) => {
  it('comes through whole', () => {
    expect(read(JSON.parse(JSON.stringify(whole)))).toEqual(whole);
  });

  it('is refused without any one of its fields, with the hint of another version', () => {
    const ways = waysIn(whole);
    expect(ways.length).toBeGreaterThan(leastCount);
    for (const way of ways) {
      expect(() => read(without(whole, way)), way.join('.')).toThrow(
        expect.objectContaining({ code: 'PROTOCOL', message: expect.stringContaining('down and up again') }),
      );
    }
  });
});
