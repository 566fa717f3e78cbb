/** What `gigatun show` prints, and what the control socket's answers must look like before it does. */
import { describe, expect, it } from 'vitest';
import { formatAgo, formatBytes, formatShow } from '../../src/cli/format-show.ts';
import { readSnapshot, readStatus } from '../../src/control/status-reader.ts';
import type { DeviceStatus, PeerStatus } from '../../src/device-types.ts';
import { openPage } from '../../src/ledger/page.ts';
import { readPage, sumSnapshots } from '../../src/ledger/snapshot.ts';

const NOW_MS = 1_800_000_000_000;

const QUIET: PeerStatus = {
  publicKey: 'TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=',
  endpoint: null,
  allowedIps: [],
  latestHandshakeMs: 0,
  rxBytes: 0,
  txBytes: 0,
  persistentKeepaliveSeconds: 0,
  hasPresharedKey: false,
  isGigatun: false,
  groupDatagramsMax: 64,
  groupShortTail: true,
  groupRetrySeconds: null,
  lastFailure: null,
  cipher: null,
  history: null,
};

const BUSY: PeerStatus = {
  publicKey: 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=',
  endpoint: '[2001:db8::1]:51820',
  allowedIps: ['10.0.0.0/24', 'fd00::/64'],
  latestHandshakeMs: NOW_MS - 61_500,
  rxBytes: 5 * 1024 ** 3,
  txBytes: 1_536,
  persistentKeepaliveSeconds: 25,
  hasPresharedKey: true,
  isGigatun: true,
  groupDatagramsMax: 16,
  groupShortTail: false,
  groupRetrySeconds: 29,
  lastFailure: 'mac1 is wrong',
  cipher: 'aes-256-gcm',
  history: null,
};

const STATUS: DeviceStatus = {
  interface: 'wg0',
  publicKey: 'YAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=',
  listenPort: 51_820,
  fwmark: 51_820,
  mtu: 1_420,
  up: true,
  aead: 'openssl',
  lanes: 2,
  offloads: ['tso4', 'gso'],
  heldOffloads: [],
  pid: 7,
  rssBytes: 76 * 2 ** 20,
  memoryCapBytes: 100e6,
  memoryCrossingsCount: 0,
  peers: [QUIET, BUSY],
};

describe('an interface', () => {
  it('is shown with its peers, the last heard first', () => {
    expect(formatShow(STATUS, NOW_MS)).toBe(`interface: wg0
  public key: YAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
  private key: (hidden)
  listening port: 51820
  fwmark: 0xca6c
  mtu: 1420
  lanes: 2, aead openssl, tso4 gso
  memory: 79.7 MB resident of 100 MB allowed

peer: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
  preshared key: (hidden)
  endpoint: [2001:db8::1]:51820
  allowed ips: 10.0.0.0/24, fd00::/64
  latest handshake: 1 minute, 1 second ago
  cipher: aes-256-gcm
  last handshake failure: mac1 is wrong
  transfer: 5.00 GiB received, 1.50 KiB sent
  persistent keepalive: every 25 seconds
  datagram groups: at most 16 datagrams, the last as long as the others; more are tried in 29 seconds

peer: TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=
  allowed ips: (none)
`);
  });

  it('is shown without what it has not', () => {
    const bare = { ...STATUS, memoryCapBytes: null, publicKey: null, fwmark: 0, up: false, offloads: [], peers: [] };
    expect(formatShow(bare, NOW_MS)).toBe(`interface: wg0
  listening port: 51820
  mtu: 1420 (interface is down)
  lanes: 2, aead openssl
  memory: 79.7 MB resident
`);
  });
});

describe('a time', () => {
  it.each([
    [0, 'now'],
    [999, 'now'],
    [1_000, '1 second ago'],
    [59_999, '59 seconds ago'],
    [3_600_000, '1 hour ago'],
    [90_061_000, '1 day, 1 hour, 1 minute, 1 second ago'],
    [2 * 365 * 86_400_000 + 5_000, '2 years, 5 seconds ago'],
    [-5_000, 'in the future (did the clock go back?)'],
  ])('%i ms ago is %s', (passedMs, text) => expect(formatAgo(passedMs)).toBe(text));
});

describe('an amount', () => {
  it.each([
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_024, '1.00 KiB'],
    [1_024 ** 2 - 1, '1024.00 KiB'],
    [1.5 * 1_024 ** 4, '1.50 TiB'],
    [2 ** 60, '1024.00 PiB'],
  ])('%i is %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe('an answer', () => {
  const lane = readPage(openPage(), 'lane 0');
  const snapshot = {
    ...{
      interface: 'wg0',
      aead: 'openssl',
      peersByCipher: { 'aes-256-gcm': 1 },
      heldOffloads: [],
      heldGroupPeersCount: 0,
      histories: [],
      takenAtMs: 1,
      wallNs: 2,
      rssBytes: 3,
      memoryCapBytes: 4,
      memoryCrossingsCount: 5,
      processCpuNs: 4,
    },
    ...{ lanes: [lane], total: sumSnapshots([lane]) },
  };

  it('survives its way over the socket', () => {
    expect(readStatus(JSON.parse(JSON.stringify(STATUS)))).toEqual(STATUS);
    expect(readSnapshot(JSON.parse(JSON.stringify(snapshot)))).toEqual(snapshot);
  });

  it.each([null, 1, [], {}, { ...STATUS, peers: [{}] }, { ...STATUS, mtu: '1420' }, { ...STATUS, offloads: [1] }])(
    '%j is no status',
    (value) => expect(() => readStatus(value)).toThrow(expect.objectContaining({ code: 'PROTOCOL' })),
  );

  it.each([
    null,
    {},
    { ...snapshot, lanes: [{}] },
    { ...snapshot, total: { ...snapshot.total, counts: {} } },
    { ...snapshot, total: { ...snapshot.total, usage: { ...snapshot.total.usage, runQueueWaitNs: undefined } } },
  ])('%# is no snapshot', (value) => {
    expect(() => readSnapshot(value)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
  });
});
