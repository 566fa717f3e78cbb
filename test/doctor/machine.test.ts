/** Judgement of machines: one in good health, and one fault at a time with the status that it deserves. */
import { describe, expect, it } from 'vitest';
import type { BackEndFacts } from '../../src/doctor/aead.ts';
import { type Check, worstOf } from '../../src/doctor/check.ts';
import type { MachineFacts } from '../../src/doctor/facts.ts';
import { judgeMachine } from '../../src/doctor/judge.ts';
import { machineWith, udpFamily } from './support/patients.ts';

function judge(facts: MachineFacts, id: string): Check {
  const check = judgeMachine(facts).find((candidate) => candidate.id === id);
  if (check === undefined) throw new Error(`no check ${id}`);
  return check;
}

describe('a machine in good health', () => {
  const checks = judgeMachine(machineWith());

  it('has nothing but ok, each with its reason', () => {
    expect(checks.filter(({ status }) => status !== 'ok')).toEqual([]);
    expect(worstOf(checks)).toBe('ok');
    for (const { value, reason, advice } of checks)
      expect([value !== '', reason !== '', advice]).toEqual([true, true, null]);
  });

  it('has each check once', () => {
    expect(new Set(checks.map(({ id }) => id)).size).toBe(checks.length);
  });
});

const slow = {
  name: 'openssl',
  available: true,
  version: null,
  sealNs: { 'chacha20-poly1305': 900, 'aes-256-gcm': 850 },
};
const noMb = { name: 'ipsec-mb', available: false, version: null, sealNs: null };

/** ipsec-mb that seals a packet in so many nanoseconds in AES-256-GCM, in 500 in ChaCha20-Poly1305. */
const withAes = (aesNs: number): BackEndFacts => ({
  name: 'ipsec-mb',
  available: true,
  version: null,
  sealNs: { 'chacha20-poly1305': 500, 'aes-256-gcm': aesNs },
});

/** What is spoilt, the check that tells, its status, and a word of its value, reason or advice. */
const FAULTS: readonly [string, Parameters<typeof machineWith>[0], string, string, string][] = [
  ['an old kernel', { system: { kernel: '4.14.0' } }, 'kernel', 'warn', 'Linux 5.0'],
  ['a kernel without USO', { system: { kernel: '5.15.0-generic' } }, 'kernel', 'note', '6.2'],
  ['a kernel of no name', { system: { kernel: 'custom' } }, 'kernel', 'note', 'could not be read'],
  ['an old Node', { system: { node: 'v18.20.1' } }, 'node', 'fail', 'install Node'],
  ['no native addon', { system: { addonProblem: 'no build' } }, 'addon', 'fail', 'build:native'],
  ['no iproute2', { system: { ipProgram: false } }, 'ip-program', 'fail', 'apt-get install iproute2'],
  [
    'little memory',
    { system: { memory: { availableBytes: 4e9, limitBytes: 128e6, usedBytes: 100e6 } } },
    'memory',
    'warn',
    'memory limit',
  ],
  ['few files', { system: { openFilesMax: 64 } }, 'open-files', 'note', 'ulimit'],
  ['no TUN device', { tun: { device: false, features: null } }, 'tun-device', 'fail', 'modprobe tun'],
  [
    'no permission',
    { tun: { features: null, problem: { code: 'PERMISSION', message: 'EPERM' } } },
    'tun-device',
    'fail',
    'CAP_NET_ADMIN',
  ],
  ['a TUN without TSO', { tun: { features: { multiQueue: true, offloads: 0 } } }, 'tun-offloads', 'warn', 'one packet'],
  [
    'a TUN without USO',
    { tun: { features: { multiQueue: true, offloads: 7 } } },
    'tun-offloads',
    'note',
    'csum tso4 tso6',
  ],
  [
    'a TUN with one queue',
    { tun: { features: { multiQueue: false, offloads: 103 } } },
    'tun-queues',
    'note',
    'one lane',
  ],
  ['no sockets', { udp: { families: [], problem: 'neither' } }, 'udp-sockets', 'fail', 'neither'],
  ['no IPv6', { udp: { families: [udpFamily()] } }, 'udp-sockets', 'note', 'IPv6'],
  ['no GSO', { udp: { families: [udpFamily({ datagramsMax: 1, exchange: null })] } }, 'udp-gso', 'warn', 'missing'],
  [
    'GSO not tried',
    {
      udp: {
        families: [udpFamily({ exchange: { errno: 101, datagramsSent: 64, datagramsReceived: 0, receives: 0 } })],
      },
    },
    'udp-gso',
    'note',
    'lo up',
  ],
  [
    'GSO refused',
    {
      udp: {
        families: [udpFamily({ exchange: { errno: 5, datagramsSent: 64, datagramsReceived: 0, receives: 0 } })],
      },
    },
    'udp-gso',
    'warn',
    'errno 5',
  ],
  [
    'no GRO',
    {
      udp: {
        families: [udpFamily({ exchange: { errno: 0, datagramsSent: 64, datagramsReceived: 64, receives: 64 } })],
      },
    },
    'udp-gro',
    'warn',
    '64 receives',
  ],
  [
    'datagrams lost',
    {
      udp: { families: [udpFamily({ exchange: { errno: 0, datagramsSent: 64, datagramsReceived: 3, receives: 3 } })] },
    },
    'udp-gro',
    'warn',
    '3 of 64',
  ],
  [
    'tiny buffers',
    { udp: { families: [udpFamily({ receiveBufferBytes: 425_984 })] } },
    'udp-buffers',
    'warn',
    'sysctl',
  ],
  [
    'small buffers',
    { udp: { families: [udpFamily({ sendBufferBytes: 4 << 20 })] } },
    'udp-buffers',
    'note',
    'wmem_max',
  ],
  ['one core', { cpu: { coresOnline: 1, coresAllowed: 1 } }, 'cores', 'warn', 'two cores'],
  ['affinity', { cpu: { coresAllowed: 1 } }, 'cores', 'warn', 'taskset'],
  ['some affinity', { cpu: { coresAllowed: 2 } }, 'cores', 'note', '2 of 4 cores'],
  ['half a core', { cpu: { quotaCores: 0.5, throttledCount: 12 } }, 'cpu-quota', 'warn', '12 times'],
  ['two cores of four', { cpu: { quotaCores: 2 } }, 'cpu-quota', 'note', '2 of 4 cores'],
  ['busy cores', { cpu: { busyShare: 0.9 } }, 'cpu-load', 'note', '90 %'],
  ['load where time is not told', { cpu: { busyShare: null, load: 3.9 } }, 'cpu-load', 'note', '3.90'],
  ['a greedy host', { cpu: { stealShare: 0.2 } }, 'cpu-steal', 'warn', '20.0 %'],
  [
    'openssl alone',
    { aead: { chosen: 'openssl', backEnds: [noMb, slow] } },
    'aead',
    'warn',
    'apt-get install libipsec-mb1',
  ],
  [
    'openssl alone on Fedora',
    { aead: { chosen: 'openssl', backEnds: [noMb, slow], systemIds: ['fedora'] } },
    'aead',
    'warn',
    'dnf install',
  ],
  [
    'openssl alone somewhere',
    { aead: { chosen: 'openssl', backEnds: [noMb, slow], systemIds: [] } },
    'aead',
    'warn',
    'libIPSec_MB.so.1',
  ],
  [
    'openssl on arm64',
    { aead: { chosen: 'openssl', backEnds: [noMb, slow], architecture: 'arm64' } },
    'aead',
    'ok',
    'arm64',
  ],
  ['openssl forced', { aead: { chosen: 'openssl', forced: 'openssl' } }, 'aead', 'warn', 'unset GIGATUN_AEAD'],
  ['a back end that is not there', { aead: { chosen: null, forced: 'ipsec-mb' } }, 'aead', 'fail', 'ipsec-mb'],
  ['AES clearly faster', { aead: { backEnds: [withAes(200)] } }, 'cipher', 'note', 'AES-256-GCM, 2.50 times as fast'],
  ['AES clearly faster', { aead: { backEnds: [withAes(200)] } }, 'cipher', 'note', '#gigatun: Cipher = auto in'],
  [
    'AES faster, though auto does not know',
    { aead: { backEnds: [withAes(400)], hasFastAes: false } },
    'cipher',
    'note',
    '#gigatun: Cipher = aes-256-gcm in',
  ],
  ['AES hardly faster', { aead: { backEnds: [withAes(401)] } }, 'cipher', 'ok', 'AES-256-GCM, 1.25 times as fast'],
  [
    'no instructions for AES',
    { aead: { backEnds: [withAes(2_000)], hasFastAes: false } },
    'cipher',
    'ok',
    'ChaCha20-Poly1305, 4.00 times as fast the processor names no',
  ],
  ['AES faster elsewhere', { aead: { chosen: 'openssl', backEnds: [withAes(100), slow] } }, 'cipher', 'ok', '1.06'],
  ['no back end', { aead: { chosen: null, backEnds: [noMb] } }, 'cipher', 'note', 'unknown'],
  ['AES', { aead: { backEnds: [withAes(200), slow] } }, 'aead-cost-aes', 'ok', 'ipsec-mb 0.200 µs, openssl 0.850 µs'],
  ['AES', { aead: { backEnds: [withAes(200), slow] } }, 'aead-cost-aes', 'ok', 'at most 57.0 Gbit/s'],
  ['AES', { aead: { backEnds: [withAes(200), slow] } }, 'aead-cost', 'ok', 'at most 22.8 Gbit/s'],
  ['no AES', { aead: { hasFastAes: false } }, 'cpu-features', 'ok', 'AES has no hardware here'],
  ['an old CPU', { aead: { cpuFlags: new Set(['sse2']) } }, 'cpu-features', 'warn', 'AVX2'],
  ['a slow clock', { clock: { source: 'hpet', readNs: 900 } }, 'clock-source', 'warn', 'echo tsc'],
  [
    'a slow clock without a better',
    { clock: { source: 'xen', available: ['xen'], readNs: 900 } },
    'clock-source',
    'warn',
    'host',
  ],
  ['an old clock', { clock: { realMs: Date.UTC(2023, 11, 31) } }, 'clock-date', 'fail', '2023-12-31'],
  ['a clock of the future', { clock: { realMs: Date.UTC(2101, 0, 1) } }, 'clock-date', 'fail', '2101'],
  ['a clock of no sense', { clock: { realMs: Number.NaN } }, 'clock-date', 'fail', 'none'],
  ['an empty pool', { clock: { entropyBits: 10 } }, 'entropy', 'note', '10 bits'],
  ['no forwarding', { network: { forwarding4: false } }, 'forwarding', 'note', 'gateway'],
  ['a strict filter', { network: { reversePathFilter: 1 } }, 'reverse-path', 'note', 'rp_filter=2'],
  ['another WireGuard', { network: { kernelInterfaces: ['wg0'] } }, 'kernel-wireguard', 'note', 'wg0'],
  ['a taken port', { network: { usualPortTaken: true } }, 'usual-port', 'note', 'taken'],
  ['its own port elsewhere', { network: { usualPortTunnels: ['gt0'] } }, 'usual-port', 'ok', 'free'],
  ['its own port', { network: { usualPortTaken: true, usualPortTunnels: ['gt0'] } }, 'usual-port', 'ok', 'gt0'],
];

describe('a machine with', () => {
  it.each(FAULTS)('%s', (_, parts, id, status, word) => {
    const check = judge(machineWith(parts), id);
    expect(check.status).toBe(status);
    expect(`${check.value} ${check.reason} ${check.advice}`).toContain(word);
    if (status === 'warn' || status === 'fail') expect(check.advice).not.toBeNull();
  });
});

it('what could not be probed is not judged', () => {
  const ids = judgeMachine(machineWith({ tun: { features: null, problem: null }, udp: { families: [] } })).map(
    ({ id }) => id,
  );
  expect(ids).toContain('tun-device');
  expect(ids).not.toContain('tun-offloads');
  expect(ids).not.toContain('udp-buffers');
});
