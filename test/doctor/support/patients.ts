/** Made-up facts for the doctor: a machine and a tunnel in good health, of which tests spoil one thing at a time. */

import type { DeviceStatus, PeerStatus } from '../../../src/device-types.ts';
import type { MachineFacts } from '../../../src/doctor/facts.ts';
import type { Host } from '../../../src/doctor/probe/host.ts';
import type { ProcessFacts, TunnelFacts } from '../../../src/doctor/tunnel-facts.ts';
import type { UdpFamilyFacts } from '../../../src/doctor/udp.ts';
import type { PeerHistoryStatus } from '../../../src/ledger/history-figures.ts';
import { TUN_OFFLOAD } from '../../../src/native/layout.ts';
import { type BooksContent, deviceWith, laneWith } from '../../ledger/support/books.ts';

type Parts<Facts> = { readonly [Group in keyof Facts]?: Partial<Facts[Group]> };

const { CSUM, TSO4, TSO6, USO4, USO6 } = TUN_OFFLOAD;

export function udpFamily(part: Partial<UdpFamilyFacts> = {}): UdpFamilyFacts {
  return {
    family: 4,
    receiveBufferBytes: 14 << 20,
    sendBufferBytes: 14 << 20,
    datagramsMax: 128,
    exchange: { errno: 0, datagramsSent: 128, datagramsReceived: 128, receives: 1 },
    ...part,
  };
}

/** A machine on which every check is ok, with some facts of its groups replaced. */
export function machineWith(parts: Parts<MachineFacts> = {}): MachineFacts {
  return {
    system: {
      kernel: '6.12.0-1-amd64',
      node: 'v20.19.0',
      architecture: 'x64',
      addonProblem: null,
      ipProgram: true,
      openFilesMax: 1_024,
      memory: { availableBytes: 4e9, limitBytes: null, usedBytes: null },
      ...parts.system,
    },
    tun: {
      device: true,
      problem: null,
      features: { multiQueue: true, offloads: CSUM | TSO4 | TSO6 | USO4 | USO6 },
      ...parts.tun,
    },
    udp: {
      problem: null,
      families: [udpFamily(), udpFamily({ family: 6 })],
      bufferBytesWanted: 7 << 20,
      receiveBytesMax: 4_194_304,
      sendBytesMax: 4_194_304,
      ...parts.udp,
    },
    cpu: {
      model: 'Some CPU',
      coresOnline: 4,
      coresAllowed: 4,
      quotaCores: null,
      throttledCount: null,
      load: 0.1,
      busyShare: 0.05,
      stealShare: 0,
      ...parts.cpu,
    },
    aead: {
      chosen: 'ipsec-mb',
      forced: '',
      backEnds: [
        {
          name: 'ipsec-mb',
          available: true,
          version: '1.3.0',
          sealNs: { 'chacha20-poly1305': 500, 'aes-256-gcm': 480 },
        },
        {
          name: 'openssl',
          available: true,
          version: '3.0.1',
          sealNs: { 'chacha20-poly1305': 1_000, 'aes-256-gcm': 960 },
        },
      ],
      architecture: 'x64',
      cpuFlags: new Set(['aes', 'vaes', 'avx2']),
      hasFastAes: true,
      systemIds: ['debian'],
      ...parts.aead,
    },
    clock: {
      source: 'tsc',
      available: ['tsc', 'hpet'],
      readNs: 40,
      realMs: Date.UTC(2026, 0, 1),
      entropyBits: 256,
      ...parts.clock,
    },
    network: {
      forwarding4: true,
      forwarding6: true,
      reversePathFilter: 0,
      kernelInterfaces: [],
      usualPortTaken: false,
      usualPortTunnels: [],
      ...parts.network,
    },
  };
}

/** Taken at 1,700,000,000,000 ms, as `deviceWith` has it. */
export function peerWith(part: Partial<PeerStatus> = {}): PeerStatus {
  return {
    publicKey: `${'A'.repeat(43)}=`,
    endpoint: '192.0.2.1:51820',
    allowedIps: ['10.0.0.2/32'],
    latestHandshakeMs: 1_700_000_000_000 - 30_000,
    rxBytes: 1,
    txBytes: 1,
    persistentKeepaliveSeconds: 0,
    hasPresharedKey: false,
    isGigatun: false,
    groupDatagramsMax: 64,
    groupShortTail: true,
    groupRetrySeconds: null,
    cipher: 'chacha20-poly1305',
    history: null,
    lastFailure: null,
    ...part,
  };
}

export interface TunnelParts {
  readonly status?: Partial<DeviceStatus>;
  readonly process?: Partial<ProcessFacts> | null;
  readonly routes?: TunnelFacts['routes'];
  /** Books while watched, and since the start; by default nothing moved. */
  readonly recent?: BooksContent;
  readonly total?: BooksContent;
  /** Datagrams that came again of peers with histories. */
  readonly duplicates?: number;
}

export function tunnelWith(parts: TunnelParts = {}): TunnelFacts {
  const status: DeviceStatus = {
    interface: 'gt0',
    publicKey: `${'B'.repeat(43)}=`,
    listenPort: 51_820,
    fwmark: 0,
    mtu: 1_420,
    up: true,
    aead: 'ipsec-mb',
    lanes: 1,
    offloads: ['csum', 'tso4', 'tso6', 'uso4', 'uso6', 'gso', 'gro'],
    heldOffloads: [],
    pid: 1,
    rssBytes: 80e6,
    memoryCapBytes: null,
    memoryCrossingsCount: 0,
    peers: [peerWith()],
    ...parts.status,
  };
  const process: ProcessFacts = {
    coresAllowed: null,
    quotaCores: null,
    throttledCount: null,
    memoryLimitBytes: null,
    tunDropped: { total: 0, recent: 0 },
    socketDropped: { total: 0, recent: 0 },
    strangersOnPort: 0,
    privileges: { capabilities: ['cap_net_admin'], noNewPrivileges: true, userId: 0 },
    network: { forwarding4: true, forwarding6: true, reversePathFilter: 0 },
    ...parts.process,
  };
  return {
    name: status.interface,
    status,
    total: {
      ...deviceWith([laneWith('lane 0', parts.total ?? parts.recent ?? {})]),
      histories: parts.duplicates === undefined ? [] : [historyWith(parts.duplicates)],
    },
    recent: deviceWith([laneWith('lane 0', parts.recent ?? {})]),
    process: parts.process === null ? null : process,
    routes: parts.routes ?? { routes: [{ address: '192.0.2.1', family: 4, mtu: 1_500 }], skipped: 0 },
  };
}

/** Books of a lane that worked all of a second, mostly on what is named; a million packets each way. */
export function busyBooks(part: BooksContent = {}): BooksContent {
  const millions = ['TUN_RX', 'UDP_TX', 'UDP_TX_UNIQ', 'UDP_RX', 'UDP_RX_UNIQ', 'TUN_TX'];
  return {
    activitiesNs: { USER_ENCRYPT: 300e6, KERN_SEND_UDP: 200e6, KERN_WRITE_TUN: 300e6, USER_DECRYPT: 200e6 },
    counts: {
      ...Object.fromEntries(millions.map((name) => [name, 1e6])),
      TUN_READ_IO: 25_000,
      UDP_SEND_IO: 25_000,
      UDP_RECV_IO: 25_000,
      TUN_WRITE_IO: 25_000,
    },
    ...part,
  };
}

/** A machine of these files; what is not among them is not there. */
export function hostWith(files: Readonly<Record<string, string>>): Host {
  return { read: (path) => files[path] ?? null, list: () => [], link: () => null };
}

/** Histories of a peer of which so many datagrams came again. */
function historyWith(duplicates: number): PeerHistoryStatus {
  const figures = { seconds: 1, counts: { DUPLICATES: duplicates }, sums: {}, lossBefore: null, lossAfter: null };
  return { publicKey: `${'A'.repeat(43)}=`, mode: 'follow', paths: [], total: figures, intervals: [] };
}
