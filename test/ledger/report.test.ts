import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACTIVITIES, COUNTERS } from '../../src/ledger/catalog.ts';
import { formatStats, statsJson } from '../../src/ledger/report.ts';
import { difference, type LaneSnapshot } from '../../src/ledger/snapshot.ts';
import { DROP_REASONS } from '../../src/packet/drop-reason.ts';
import { anyBooks, type BooksContent, deviceWith, laneWith } from './support/books.ts';

/** One second of bulk traffic outbound, acknowledgements inbound, with 11 ms of waiting for a core. */
const BULK: BooksContent = {
  activitiesNs: {
    KERN_READ_TUN: 120_000_000,
    USER_TUN_TO_UDP: 40_000_000,
    USER_ENCRYPT: 330_000_000,
    USER_TX_HISTORY: 5_000_000,
    KERN_SEND_UDP: 150_000_000,
    KERN_RECV_UDP: 20_000_000,
    USER_DECRYPT: 30_000_000,
    USER_RX_HISTORY: 2_000_000,
    USER_UDP_TO_TUN: 10_000_000,
    KERN_WRITE_TUN: 43_000_000,
    KERN_WAIT: 245_000_000,
    USER_CONTROL: 5_000_000,
  },
  coreWaitNs: { USER_ENCRYPT: 6_400_000, KERN_WAIT: 4_000_000, KERN_READ_TUN: 250_000 },
  sleepNs: 235_000_000,
  counts: {
    TUN_RX: 450_000,
    TUN_TX: 20_000,
    UDP_RX: 20_010,
    UDP_TX: 450_002,
    UDP_RX_UNIQ: 20_000,
    UDP_TX_UNIQ: 450_000,
    TUN_RX_BYTES: 630_000_000,
    TUN_TX_BYTES: 1_040_000,
    UDP_RX_BYTES: 1_680_840,
    UDP_TX_BYTES: 644_400_064,
    TUN_READ_IO: 10_000,
    TUN_WRITE_IO: 5_000,
    UDP_RECV_IO: 4_002,
    UDP_SEND_IO: 10_100,
    WAIT_IO: 8_000,
    UDP_SEND_GROUPS: 10_100,
    HANDSHAKE_RX: 1,
    COALESCED: 15_000,
    TURNS: 9_000,
  },
  drops: { IN_REPLAY: 10, OUT_NO_ROUTE: 3 },
  usage: {
    MONOTONIC_NS: 1_000_000_000,
    USER_NS: 420_000_000,
    SYSTEM_NS: 340_000_000,
    CPU_NS: 760_000_000,
    RUN_QUEUE_WAIT_NS: 11_000_000,
  },
};

const control = laneWith('control', {
  counts: { HANDSHAKE_TX: 2 },
  drops: { IN_HANDSHAKE_BAD: 1 },
  usage: { CPU_NS: 3_000_000 },
});
const device = deviceWith([laneWith('lane 0', BULK), control]);

function golden(name: string): string {
  return readFileSync(new URL(`golden/${name}.txt`, import.meta.url), 'utf8');
}

describe('the table', () => {
  it('reads as agreed for a second of bulk traffic', () => {
    expect(formatStats(device)).toBe(golden('bulk'));
  });

  it('shows each lane and the rates when asked to', () => {
    expect(formatStats(device, { perLane: true, rates: device })).toBe(golden('bulk-lanes-rates'));
  });

  it('says the time of an activity per packet as the origin did', () => {
    expect(formatStats(device)).toMatch(/KERN_WRITE_TUN per TUN_TX: +2\.150 µs/);
  });

  it('says where the thread had no core, and says nothing where it had one', () => {
    const text = formatStats(device);
    expect(text).toMatch(/USER_ENCRYPT per UDP_TX_UNIQ: .* s {2,}of it 6\.400 ms without a core\n/);
    expect(text).toMatch(/together per TUN_RX: .* s {2,}of it 6\.650 ms without a core\n/);
    expect(text).toMatch(/KERN_SEND_UDP per UDP_TX: .* s\n/);
    expect(formatStats(deviceWith([laneWith('lane 0', { ...BULK, coreWaitNs: {} })]))).not.toContain('without a core');
  });

  it('names the difference by its sign: CPU time that was booked as sleep, or busy time that was neither', () => {
    expect(formatStats(device)).toMatch(/difference: poll on its way to sleep and back +6\.000 ms/);
    const blocked = laneWith('lane 0', { ...BULK, usage: { ...BULK.usage, CPU_NS: 700_000_000 } });
    expect(formatStats(deviceWith([blocked]))).toMatch(/difference: busy time blocked or stolen +-54\.000 ms/);
  });

  it('has a line for each activity and each counter, whatever the catalog holds', () => {
    const text = formatStats(device);
    for (const { name, per } of ACTIVITIES) expect(text).toContain(per === null ? `  ${name} ` : `${name} per ${per}:`);
    for (const { name } of COUNTERS.filter(({ unit }) => unit !== 'bytes')) expect(text).toContain(name);
  });

  it('names the drops that happened, with their meaning, and only those', () => {
    fc.assert(
      fc.property(anyBooks, (content) => {
        const lane = laneWith('lane 0', content);
        const text = formatStats(deviceWith([lane]));
        for (const { name, meaning } of DROP_REASONS) {
          expect(text.includes(`  ${name} `) && text.includes(meaning)).toBe(lane.drops[name] > 0);
        }
      }),
    );
  });

  it('prints no NaN, Infinity, undefined or minus zero, for any books and any difference of books', () => {
    fc.assert(
      fc.property(anyBooks, anyBooks, (before, after) => {
        const later = deviceWith([laneWith('lane 0', after), laneWith('lane 1', {})]);
        const since = difference(later, deviceWith([laneWith('lane 0', before)]));
        for (const shown of [later, since]) {
          const text = formatStats(shown, { perLane: true, rates: since });
          expect(text).not.toMatch(/NaN|Infinity|undefined|-0(\.0+)? /);
        }
      }),
    );
  });

  it('says so when the figures of the kernel are older than the books', () => {
    const stale = laneWith('lane 0', { ...BULK, usage: { ...BULK.usage, MONOTONIC_NS: 900_000_000 } });
    expect(formatStats(deviceWith([stale]))).toContain('older than the books by');
    expect(formatStats(device)).not.toContain('older than');
  });

  it('shows counts and no balance for a lane whose booking of time is switched off', () => {
    const text = formatStats(deviceWith([laneWith('lane 0', { counts: { TUN_RX: 5 }, wallNs: 1e9 })]));
    expect(text).toMatch(/1 lane,[\s\S]*no time is booked[\s\S]*TUN_RX +5 /);
    expect(text).not.toMatch(/balance|of wall\b(?! time)/);
  });

  it('says how many peers use which cipher', () => {
    const peersByCipher = { 'chacha20-poly1305': 1_200, 'aes-256-gcm': 1 };
    const text = formatStats({ ...device, peersByCipher });
    expect(text).toContain('AEAD openssl (chacha20-poly1305 1,200 peers, aes-256-gcm 1 peer), process');
  });

  it('says what is held back, and nothing where nothing is', () => {
    const held = { offload: 'udp-gso', lane: 1, reason: 'errno 5', retrySeconds: 42 };
    const text = formatStats({ ...device, heldOffloads: [held], heldGroupPeersCount: 1 });
    expect(text).toContain('held back: udp-gso on lane 1, again in 42 s: errno 5\n');
    expect(text).toContain('held back: datagram groups to 1 peer, whose path');
    expect(formatStats(device)).not.toContain('held back');
  });

  it('shows an unknown run-queue wait as unknown', () => {
    const unknown = laneWith('lane 0', { ...BULK, usage: { ...BULK.usage, RUN_QUEUE_WAIT_NS: -1 } });
    expect(formatStats(deviceWith([unknown]))).toMatch(/run-queue wait +–/);
  });
});

describe('memory', () => {
  it('is shown alone without a cap', () => expect(formatStats(device)).toContain(', 97.10 MB resident\n'));

  it('is shown with its cap, and how often it came near', () => {
    const capped = { ...device, memoryCapBytes: 100e6, memoryCrossingsCount: 0 };
    expect(formatStats(capped)).toContain('97.10 MB resident of 100.00 MB allowed\n');
    expect(formatStats({ ...capped, memoryCrossingsCount: 2 })).toContain('allowed, came near it 2 times\n');
    expect(statsJson(capped)).toMatchObject({ rssBytes: 97_100_000, memoryCapBytes: 100e6, memoryCrossingsCount: 0 });
  });
});

describe('the figures as JSON', () => {
  const json = JSON.parse(JSON.stringify(statsJson(device)));

  it('hold what the table shows, with units in the names', () => {
    expect(json).toMatchObject({ interface: 'gt0', aead: 'openssl', wallNs: 1e9, rssBytes: 97_100_000 });
    expect(json.total.activities.KERN_WRITE_TUN).toEqual({
      timeNs: 43_000_000,
      per: 'TUN_TX',
      timePerCountNs: 2150,
      shareOfWallRatio: 0.043,
      shareOfBusyRatio: 43 / 765,
      coreWaitNs: 0,
    });
    expect(json.total.activities.KERN_WAIT).toMatchObject({
      timeNs: 245_000_000,
      shareOfBusyRatio: 10 / 765,
      coreWaitNs: 4_000_000,
    });
    expect(json.total.directions.outbound).toMatchObject({ timeNs: 645_000_000, per: 'TUN_RX' });
    expect(json.total.packetsPerCall).toEqual({ TUN_RX: 45, UDP_TX: 450_002 / 10_100, UDP_RX: 5, TUN_TX: 4 });
    expect(json.total.dearestActivity).toBe('USER_ENCRYPT');
    expect(json.total.dropsTotalCount).toBe(14);
    expect(json.total.balance).toMatchObject({ lanesCount: 1, sleepNs: 235_000_000, busyNs: 765_000_000 });
    expect(json.total.balance.busyDifferenceNs).toBe(6_000_000);
    expect(json.lanes.map(({ name }: LaneSnapshot) => name)).toEqual(['lane 0', 'control']);
  });

  it('have every name of the catalogs', () => {
    expect(Object.keys(json.total.activities)).toEqual(ACTIVITIES.map(({ name }) => name));
    expect(Object.keys(json.total.countersCount)).toEqual(COUNTERS.map(({ name }) => name));
    expect(Object.keys(json.total.dropsCount)).toEqual(DROP_REASONS.map(({ name }) => name));
  });

  it('end each name of a number in its unit', () => {
    const wrong = numberKeys(json).filter((key) => !/(Ns|Ms|Bytes|Count|Ratio|Points)$/.test(key));
    expect(wrong).toEqual([]);
  });

  it('lose nothing in JSON', () => {
    fc.assert(
      fc.property(anyBooks, (content) => {
        const value = statsJson(deviceWith([laneWith('lane 0', content)]));
        expect(JSON.parse(JSON.stringify(value))).toEqual(value);
      }),
    );
  });
});

/** Keys whose value is a number, but for those under `…Count` and `packetsPerCall`, which are names of the catalog. */
function numberKeys(value: object): string[] {
  return Object.entries(value).flatMap(([key, inner]) => {
    if (typeof inner === 'number') return [key];
    if (inner === null || typeof inner !== 'object' || /Count$|PerCall$/.test(key)) return [];
    return numberKeys(inner);
  });
}
