/** The one thing that limits throughput most: from what fails, from books, or from the machine. */
import { describe, expect, it } from 'vitest';
import type { BackEndFacts } from '../../src/doctor/aead.ts';
import { judgeMachine, judgeTunnel } from '../../src/doctor/judge.ts';
import { findLimit, type Limit } from '../../src/doctor/limit.ts';
import type { ActivityName } from '../../src/ledger/catalog.ts';
import type { Cipher } from '../../src/protocol/cipher.ts';
import { busyBooks, machineWith, peerWith, type TunnelParts, tunnelWith, udpFamily } from './support/patients.ts';

function limitOf(machineParts: Parameters<typeof machineWith>[0], ...tunnelParts: readonly TunnelParts[]): Limit {
  const machine = machineWith(machineParts);
  const tunnels = tunnelParts.map(tunnelWith);
  const checks = [...judgeMachine(machine), ...tunnels.flatMap((tunnel) => judgeTunnel(tunnel, machine))];
  return findLimit(machine, tunnels, checks);
}

const fastAes: BackEndFacts = {
  name: 'ipsec-mb',
  available: true,
  version: null,
  sealNs: { 'chacha20-poly1305': 500, 'aes-256-gcm': 200 },
};

const allBut = (...left: string[]): string[] =>
  ['csum', 'tso4', 'tso6', 'uso4', 'uso6', 'gso', 'gro'].filter((name) => !left.includes(name));

describe('without traffic', () => {
  it('the work itself, when nothing is wrong', () => {
    expect(limitOf({})).toMatchObject({ id: 'work', interface: null, how: expect.stringContaining('0.500 µs') });
  });
  it('the dearest warning', () => {
    const parts = {
      cpu: { coresOnline: 1, coresAllowed: 1 },
      udp: { families: [udpFamily({ datagramsMax: 1, exchange: null })] },
    };
    expect(limitOf(parts)).toMatchObject({ id: 'cores' });
    expect(limitOf({ ...parts, cpu: { quotaCores: 0.5 } })).toMatchObject({ id: 'cpu-quota' });
    expect(limitOf({ ...parts, cpu: {} })).toMatchObject({ id: 'udp-gso' });
  });
  it('a note, where there is no warning', () => {
    expect(limitOf({ cpu: { busyShare: 0.9 } })).toMatchObject({ id: 'cpu-load' });
    expect(limitOf({ cpu: { busyShare: 0.9, stealShare: 0.3 } })).toMatchObject({ id: 'cpu-steal' });
  });
  it('the cipher, where nothing else could be changed', () => {
    expect(limitOf({ aead: { backEnds: [fastAes] } })).toMatchObject({
      id: 'cipher',
      advice: expect.stringContaining('Cipher = auto'),
    });
    expect(limitOf({ aead: { backEnds: [fastAes] }, cpu: { busyShare: 0.9 } })).toMatchObject({ id: 'cpu-load' });
  });
  it('is not an offload that could not be tried', () => {
    const exchange = { errno: 101, datagramsSent: 64, datagramsReceived: 0, receives: 0 };
    expect(limitOf({ udp: { families: [udpFamily({ exchange }), udpFamily()] } })).toMatchObject({ id: 'work' });
  });
  it('what fails, before all else', () => {
    expect(limitOf({ clock: { realMs: 0 }, cpu: { quotaCores: 0.1 } }, { recent: busyBooks() })).toMatchObject({
      id: 'clock-date',
    });
  });
});

describe('with traffic', () => {
  it('no free core, with the share that was waited', () => {
    const recent = busyBooks({ coreWaitNs: { KERN_SEND_UDP: 150e6 } });
    const limit = limitOf({}, { recent });
    expect(limit).toMatchObject({ id: 'cores', interface: 'gt0', how: expect.stringContaining('15.0 %') });
    const stopped = limitOf({}, { recent, process: { quotaCores: 0.5, throttledCount: 40 } });
    expect(stopped).toMatchObject({ id: 'cpu-quota', how: expect.stringContaining('40 times') });
  });

  it('GSO that is off, by the share of its send', () => {
    const activitiesNs = { KERN_SEND_UDP: 600e6, USER_ENCRYPT: 400e6 };
    const limit = limitOf({}, { recent: busyBooks({ activitiesNs }), status: { offloads: allBut('gso') } });
    expect(limit).toMatchObject({ id: 'udp-gso', how: expect.stringContaining('KERN_SEND_UDP took 60.0 %') });
  });

  it.each([
    ['gro', 'KERN_RECV_UDP', 'udp-gro'],
    ['tso4', 'KERN_READ_TUN', 'tun-offloads'],
    ['tso6', 'KERN_WRITE_TUN', 'tun-offloads'],
  ] as const)('%s that is off, by the share of %s', (offload, name, id) => {
    const recent = busyBooks({ activitiesNs: { [name]: 500e6, USER_ENCRYPT: 500e6 } });
    expect(limitOf({}, { recent, status: { offloads: allBut(offload) } })).toMatchObject({ id });
    expect(limitOf({}, { recent })).not.toMatchObject({ id });
  });

  it('the slower AEAD, by what the other would save', () => {
    const recent = busyBooks({ activitiesNs: { USER_ENCRYPT: 500e6, USER_DECRYPT: 300e6, KERN_SEND_UDP: 200e6 } });
    const limit = limitOf({}, { recent, status: { aead: 'openssl' } });
    expect(limit).toMatchObject({ id: 'aead', what: expect.stringContaining('50 % less') });
    const offloads = allBut('gso');
    expect(limitOf({}, { recent, status: { aead: 'openssl', offloads } })).toMatchObject({ id: 'aead' });
    const sends = busyBooks({ activitiesNs: { USER_ENCRYPT: 300e6, KERN_SEND_UDP: 700e6 } });
    expect(limitOf({}, { recent: sends, status: { aead: 'openssl', offloads } })).toMatchObject({ id: 'udp-gso' });
  });

  it('the dearest activity, when nothing can be changed', () => {
    const limit = limitOf({}, { recent: busyBooks() });
    expect(limit).toMatchObject({
      id: 'user-encrypt',
      how: expect.stringContaining('30.0 %'),
      advice: expect.stringContaining('--lanes 2'),
    });
    expect(limitOf({ cpu: { coresOnline: 1, coresAllowed: 1 } }, { recent: busyBooks() })).toMatchObject({
      advice: null,
    });
  });

  it('names AES-256-GCM where sealing is dearest, and a peer has the slower cipher', () => {
    const adviceWith = (cipher: Cipher, activity: ActivityName): string | null => {
      const recent = busyBooks({ activitiesNs: { [activity]: 1e9 } });
      const parts = { aead: { backEnds: [fastAes] }, cpu: { coresOnline: 1, coresAllowed: 1 } };
      return limitOf(parts, { recent, status: { peers: [peerWith({ cipher })] } }).advice;
    };
    expect(adviceWith('chacha20-poly1305', 'USER_ENCRYPT')).toContain('see fastest cipher');
    expect(adviceWith('chacha20-poly1305', 'USER_DECRYPT')).toContain('see fastest cipher');
    expect(adviceWith('chacha20-poly1305', 'KERN_SEND_UDP')).toBeNull();
    expect(adviceWith('aes-256-gcm', 'USER_ENCRYPT')).toBeNull();
  });

  it('the slower AEAD, by its costs in the cipher that the peers have', () => {
    const recent = busyBooks({ activitiesNs: { USER_ENCRYPT: 1e9 } });
    const openssl = { ...fastAes, name: 'openssl', sealNs: { 'chacha20-poly1305': 1_000, 'aes-256-gcm': 250 } };
    const whatWith = (cipher: Cipher): string =>
      limitOf(
        { aead: { backEnds: [fastAes, openssl] } },
        { recent, status: { aead: 'openssl', peers: [peerWith({ cipher })] } },
      ).what;
    expect(whatWith('chacha20-poly1305')).toContain('50 % less');
    expect(whatWith('aes-256-gcm')).toContain('20 % less');
  });

  it('nothing here, when the lane slept', () => {
    const recent = busyBooks({ activitiesNs: { USER_ENCRYPT: 100e6, KERN_WAIT: 900e6 }, sleepNs: 900e6 });
    expect(limitOf({}, { recent })).toMatchObject({ id: 'traffic', how: expect.stringContaining('10 %') });
  });

  it('the books since the start, when nothing moves now', () => {
    expect(limitOf({}, { recent: {}, total: busyBooks() })).toMatchObject({
      interface: 'gt0',
      how: expect.stringContaining('since it started'),
    });
  });

  it('that of the tunnel which works now, before one that worked more', () => {
    const past = {
      status: { interface: 'old' },
      recent: {},
      total: busyBooks({ activitiesNs: { USER_ENCRYPT: 9e12 } }),
    };
    expect(limitOf({}, past, { recent: busyBooks() })).toMatchObject({ interface: 'gt0' });
  });
});
