/** Judgement of running tunnels: what they use, what they lost, and the way to their peers. */
import { describe, expect, it } from 'vitest';
import type { Check } from '../../src/doctor/check.ts';
import { judgeTunnel } from '../../src/doctor/judge.ts';
import { addressOf } from '../../src/doctor/probe/tunnel.ts';
import { busyBooks, machineWith, peerWith, type TunnelParts, tunnelWith } from './support/patients.ts';

function judge(parts: TunnelParts, id: string, machine = machineWith()): Check | undefined {
  return judgeTunnel(tunnelWith(parts), machine).find((check) => check.id === id);
}

it('a tunnel in good health has nothing but ok, at rest and at work', () => {
  for (const parts of [{}, { recent: busyBooks({ sleepNs: 0 }) }]) {
    const checks = judgeTunnel(tunnelWith(parts), machineWith({ cpu: { coresAllowed: 1, coresOnline: 1 } }));
    expect(checks.filter(({ status }) => status !== 'ok')).toEqual([]);
    expect(new Set(checks.map(({ id }) => id)).size).toBe(checks.length);
    for (const check of checks) expect([check.group, check.interface]).toEqual(['tunnel', 'gt0']);
  }
});

const waiting = busyBooks({ coreWaitNs: { USER_ENCRYPT: 100e6, KERN_WRITE_TUN: 100e6 } });

const FAULTS: readonly [string, TunnelParts, string, string, string][] = [
  ['more lanes than cores', { status: { lanes: 8 } }, 'lanes', 'warn', '--lanes 4'],
  ['more lanes than its quota', { status: { lanes: 2 }, process: { quotaCores: 1 } }, 'lanes', 'warn', '--lanes 1'],
  [
    'more lanes than its affinity',
    { status: { lanes: 3 }, process: { coresAllowed: 2 } },
    'lanes',
    'warn',
    '--lanes 2',
  ],
  ['a full lane and cores left', { recent: busyBooks() }, 'lanes', 'note', '--lanes 2'],
  ['a full lane without a core', { recent: waiting }, 'lanes', 'ok', 'full'],
  ['no free core', { recent: waiting }, 'core-wait', 'warn', '20.0 % of busy time while watched'],
  ['no free core earlier', { recent: {}, total: waiting }, 'core-wait', 'warn', 'since it started'],
  ['the slower AEAD', { status: { aead: 'openssl' } }, 'aead-used', 'warn', 'gigatun down gt0'],
  [
    'GSO taken back',
    { status: { offloads: ['csum', 'tso4', 'tso6', 'uso4', 'uso6', 'gro'] } },
    'offloads-used',
    'warn',
    ': gso',
  ],
  [
    'an offload that broke',
    { status: { heldOffloads: [{ offload: 'udp-gro', lane: 0, reason: 'joined wrongly', retrySeconds: 30 }] } },
    'offloads-held',
    'warn',
    'joined wrongly; tried again in 30 s',
  ],
  [
    'a path that does not carry groups',
    { status: { peers: [peerWith({ groupDatagramsMax: 16, groupShortTail: false, groupRetrySeconds: 9 })] } },
    'groups-held',
    'note',
    'at most 16 of equal length',
  ],
  [
    'single packets',
    { recent: busyBooks({ counts: { TUN_RX: 5_000, TUN_READ_IO: 5_000 } }) },
    'batching',
    'note',
    'TUN_RX 1.0',
  ],
  ['little memory left', { process: { memoryLimitBytes: 100e6 } }, 'process-memory', 'warn', '100.00 MB'],
  ['room under a cap', { status: { memoryCapBytes: 100e6 } }, 'memory-cap', 'ok', '80.00 MB resident of 100.00 MB'],
  [
    'a cap that memory came near',
    { status: { memoryCapBytes: 100e6, memoryCrossingsCount: 3 } },
    'memory-cap',
    'note',
    'came near the cap 3 times',
  ],
  [
    'no room under a cap',
    { status: { memoryCapBytes: 100e6, rssBytes: 90e6 } },
    'memory-cap',
    'warn',
    'raise --memory',
  ],
  ['few drops', { total: busyBooks({ drops: { IN_BAD_TAG: 3 } }) }, 'drop-in-bad-tag', 'note', '3, 0.00 % of inbound'],
  [
    'many drops',
    { total: busyBooks({ drops: { OUT_SEND_FULL: 9_000 } }) },
    'drop-out-send-full',
    'warn',
    '0.90 % of outbound',
  ],
  ['drops before anything moved', { total: { drops: { OUT_NO_ROUTE: 2 } } }, 'drop-out-no-route', 'warn', '100.00 %'],
  [
    'copies, which come as asked for',
    { total: busyBooks({ drops: { IN_REPLAY: 400_000 } }), duplicates: 399_990 },
    'drop-in-replay',
    'note',
    '399,990 of them of peers with histories',
  ],
  [
    'more that came again than copies explain',
    { total: busyBooks({ drops: { IN_REPLAY: 400_000 } }), duplicates: 300_000 },
    'drop-in-replay',
    'warn',
    'somebody replays them',
  ],
  [
    'a queue that overflows',
    { process: { tunDropped: { total: 9, recent: 2 } } },
    'tun-queue',
    'warn',
    '2 while watched',
  ],
  ['a queue elsewhere', { process: { tunDropped: null } }, 'tun-queue', 'ok', 'namespace'],
  [
    'sockets that overflowed once',
    { total: busyBooks(), process: { socketDropped: { total: 9, recent: 0 } } },
    'socket-drops',
    'note',
    '9 dropped',
  ],
  ['a process that is not seen', { process: null }, 'process', 'note', 'root'],
  ['no key', { status: { publicKey: null } }, 'interface', 'fail', 'PrivateKey'],
  ['its interface down', { status: { up: false } }, 'interface', 'warn', 'ip link set up dev gt0'],
  ['no peer', { status: { peers: [] } }, 'handshakes', 'warn', '[Peer]'],
  [
    'no handshake yet',
    { status: { peers: [peerWith({ latestHandshakeMs: 0 })] } },
    'handshakes',
    'note',
    '0 of 1 peers',
  ],
  [
    'a failed handshake',
    { status: { peers: [peerWith({ lastFailure: 'no answer' })] } },
    'handshakes',
    'warn',
    'AAAAAAAA…: no answer',
  ],
  [
    'an overdue handshake',
    { status: { peers: [peerWith({ latestHandshakeMs: 1, persistentKeepaliveSeconds: 25 })] } },
    'handshakes',
    'warn',
    'overdue',
  ],
  [
    'an idle peer',
    { status: { peers: [peerWith({ latestHandshakeMs: 1_699_990_000_000 })] } },
    'handshakes',
    'ok',
    'newest 3 h ago',
  ],
  [
    'a narrow way',
    { routes: { routes: [{ address: '192.0.2.1', family: 4, mtu: 1_472 }], skipped: 0 } },
    'path-mtu',
    'warn',
    'MTU = 1412',
  ],
  [
    'a narrow way over IPv6',
    { routes: { routes: [{ address: '2001:db8::1', family: 6, mtu: 1_499 }], skipped: 0 } },
    'path-mtu',
    'warn',
    'MTU = 1419',
  ],
  [
    'no way',
    { routes: { routes: [{ address: '192.0.2.1', family: 4, mtu: null }], skipped: 0 } },
    'path-mtu',
    'warn',
    'no route to 192.0.2.1',
  ],
  [
    'a thousand endpoints',
    { routes: { routes: [{ address: '192.0.2.1', family: 4, mtu: 1_500 }], skipped: 984 } },
    'path-mtu',
    'ok',
    '984 more',
  ],
  [
    'privileges that were kept',
    { process: { privileges: { capabilities: ['cap_net_admin'], noNewPrivileges: false, userId: 0 } } },
    'privileges',
    'note',
    '--no-drop-privileges',
  ],
  ['company on its port', { process: { strangersOnPort: 1 } }, 'port', 'warn', '51820'],
  [
    'peers that cannot meet',
    {
      status: { peers: [peerWith(), peerWith()] },
      process: { network: { forwarding4: false, forwarding6: true, reversePathFilter: 0 } },
    },
    'gateway',
    'note',
    'ip_forward',
  ],
  [
    'a mark and a strict filter',
    {
      status: { fwmark: 51_820 },
      process: { network: { forwarding4: true, forwarding6: true, reversePathFilter: 1 } },
    },
    'gateway',
    'note',
    'src_valid_mark',
  ],
];

describe('a tunnel with', () => {
  it.each(FAULTS)('%s', (_, parts, id, status, word) => {
    const check = judge(parts, id);
    expect(check?.status).toBe(status);
    expect(`${check?.value} ${check?.reason} ${check?.advice}`).toContain(word);
  });
});

it('counts the ciphers of those peers that have one; what another version tells instead is not missed', () => {
  const peers = [
    peerWith(),
    peerWith({ cipher: 'aes-256-gcm' }),
    peerWith({ cipher: null }),
    Object.assign(peerWith(), { cipher: 7 }),
  ];
  expect(judge({ status: { peers } }, 'ciphers')?.value).toBe('chacha20-poly1305 with 1, aes-256-gcm with 1');
  expect(judge({ status: { peers: [peerWith({ cipher: null })] } }, 'ciphers')).toBeUndefined();
});

it.each([
  ['1.2.3.4:51820', '1.2.3.4'],
  ['[2001:db8::1]:51820', '2001:db8::1'],
  ['[fe80::1%eth0]:1', 'fe80::1%eth0'],
  ['-o:1', null],
  ['1.2.3.4; reboot:1', null],
  [null, null],
])('the address of %j is %j', (endpoint, address) => expect(addressOf(endpoint)).toBe(address));
