/**
 * A lane's loop over a fake addon: each wait hands it the next step of a script, and the last one tells it to close.
 * What commands do to keypairs, staged packets and the books is seen by what is sent and said.
 */
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type LaneStart, runLane } from '../src/lane.ts';
import { openPage } from '../src/ledger/page.ts';
import { readPage } from '../src/ledger/snapshot.ts';
import { CIPHER, READY } from '../src/native/layout.ts';
import { WIREGUARD_TIMING } from '../src/protocol/constants.ts';
import { buildAllowedIps } from '../src/tables/allowed-ips.ts';
import { KeypairMemory } from '../src/tables/keypair-memory.ts';
import type { LaneCommand, LaneEvent } from '../src/tables/lane-messages.ts';
import { LiveIndices } from '../src/tables/live-indices.ts';
import { peerMemoryBytes } from '../src/tables/peers.ts';
import { bytesFrom, udpPacketBytes } from './support/arbitrary-packets.ts';
import { FakeAddon } from './support/fake-addon.ts';
import { endpointOf, keyOf, openMessage, padded, transportMessage } from './support/fake-lane.ts';
import { GATE_PUBLIC_KEY, genuine } from './support/handshake-gate.ts';
import { plainFromTun } from './support/virtio.ts';

const fake = vi.hoisted((): { addon: FakeAddon | null } => ({ addon: null }));

/** The lane's addon is whichever fake the present test has made. */
vi.mock('../src/native/addon.ts', () => {
  const verbs = ['openLane', 'closeLane', 'wait', 'readTun', 'writeTun', 'receiveUdp', 'sendUdp', 'seal', 'unseal'];
  const handshakes = ['checkMacs', 'sealCookies'];
  const forward = (verb: string): [string, unknown] => [
    verb,
    (...given: unknown[]): unknown => Reflect.apply(Reflect.get(fake.addon ?? {}, verb), fake.addon, given),
  ];
  return Object.fromEntries([...verbs, ...handshakes, 'setKey', 'book', 'threadUsage'].map(forward));
});

/** What a wait finds ready; it is told what the lane watches. */
type Step = (watch: number) => number;
type Install = Extract<LaneCommand, { type: 'install' }>;

let addon: FakeAddon;
let page: SharedArrayBuffer;
let handshakesPending: SharedArrayBuffer;

beforeEach(() => {
  addon = new FakeAddon();
  fake.addon = addon;
  page = openPage();
  handshakesPending = new SharedArrayBuffer(8);
  new Int32Array(handshakesPending)[1] = 4_096;
});

/** Runs a lane through the steps; returns what it told the control lane. */
function run(steps: readonly (Step | LaneCommand[])[]): LaneEvent[] {
  const { port1, port2 } = new MessageChannel();
  const post = (commands: readonly LaneCommand[]): number => {
    for (const command of commands) port1.postMessage(command);
    return READY.WAKE;
  };
  const left = [...steps, [{ type: 'close' } as const]];
  addon.onWait = (watch) => {
    const step = left.shift() ?? [];
    return typeof step === 'function' ? step(watch) : post(step);
  };
  const start: LaneStart = {
    index: 0,
    lanes: 1,
    tunFd: 3,
    udp4Fd: 4,
    udp6Fd: -1,
    page,
    handshakesPending,
    liveIndices: LiveIndices.allocate(),
    timing: WIREGUARD_TIMING,
    limits: { gsoDatagramsMax: 64, tcpSuperPackets: true, udpSuperPackets: false, mtu: 1_420 },
    aead: 'auto',
    bookTime: true,
  };
  runLane(start, port2);
  const events: LaneEvent[] = [];
  for (let next = receiveMessageOnPort(port1); next !== undefined; next = receiveMessageOnPort(port1))
    events.push(next.message);
  port1.close();
  return events;
}

/** Peer 0 with an endpoint and all routes. */
function peerCommands(): LaneCommand[] {
  const { ipv4, ipv6 } = buildAllowedIps([{ address: new Uint8Array(4), length: 0, peer: 0 }]);
  return [
    {
      type: 'peers',
      peers: [{ peer: 0, memory: new SharedArrayBuffer(peerMemoryBytes(2)), offset: 0, endpoint: endpointOf(0) }],
    },
    { type: 'routes', ipv4, ipv6 },
  ];
}

/** A keypair whose keys are `keyOf(id)`, with receiver index 1000 + id here and 2000 + id at the peer. */
function install(id: number, place: Install['place'] = 'current'): Install {
  const indices = { localIndex: 1_000 + id, remoteIndex: 2_000 + id };
  const keys = { sendKey: keyOf(id), receiveKey: keyOf(id), memory: KeypairMemory.allocate(), offset: 0 };
  return {
    type: 'install',
    token: 70 + id,
    peer: 0,
    keypair: id,
    cipher: 'chacha20-poly1305',
    ...indices,
    ...keys,
    initiator: place === 'current',
    bornMs: addon.nowMs,
    place,
  };
}

/** Send with a keypair; with `confirm`, a keepalive if nothing waited. */
function promote(keypair: number, confirm = false): LaneCommand {
  return { type: 'promote', peer: 0, keypair, confirm };
}

/** Receive on a keypair, and send with it. */
function use(id: number): LaneCommand[] {
  return [install(id), promote(id)];
}

/** The TUN brings packets. */
function fromTun(...numbers: number[]): Step {
  return () => {
    addon.tunQueue.push(...numbers.map((number) => plainFromTun(udpPacketBytes(1, 2, 100, number))));
    return READY.TUN;
  };
}

/** The socket brings datagrams. */
function fromSocket(...datagrams: Uint8Array[]): Step {
  return () => {
    for (const bytes of datagrams) addon.udpQueue[4].push({ bytes, segmentLength: 0, source: endpointOf(0) });
    return READY.UDP4;
  };
}

function message(keypair: number, counter: number): Uint8Array {
  return transportMessage(1_000 + keypair, counter, padded(udpPacketBytes(1, 2, 100)), keypair);
}

/** Receiver index and inner length (padded) of every datagram that was sent. */
function sent(): [number, number][] {
  return addon.udpSends.flatMap(({ datagrams }) =>
    datagrams.map((datagram): [number, number] => {
      const { receiver, plaintext } = openMessage(datagram, 0);
      return [receiver, plaintext.length];
    }),
  );
}

describe('a lane', () => {
  it('says when it is ready, leaves its loop when it is told to, and closes its handle', () => {
    expect(run([])).toEqual([{ type: 'ready', wakeFd: 7, aead: 'openssl' }]);
    expect(addon.isClosed).toBe(true);
  });

  it('moves packets in both directions', () => {
    run([[...peerCommands(), ...use(0)], fromTun(1, 2), fromSocket(message(0, 0), message(0, 1))]);
    expect(sent()).toEqual([
      [2_000, 112],
      [2_000, 112],
    ]);
    expect(addon.tunWrites.length).toBe(2);
    expect(readPage(page, 'lane').counts).toMatchObject({ TUN_RX: 2, UDP_TX: 2, UDP_RX: 2, TUN_TX: 2, TURNS: 4 });
  });

  it('answers for a snapshot with the books as they are', () => {
    let inBetween = -1;
    const events = run([
      [...peerCommands(), ...use(0)],
      fromTun(1),
      [{ type: 'snapshot', id: 12 }],
      () => {
        inBetween = readPage(page, 'lane').counts.UDP_TX;
        return 0;
      },
    ]);
    expect(inBetween).toBe(1);
    expect(events).toContainEqual({ type: 'snapshot', id: 12 });
  });

  it.each([
    ['the device fails', (): number => READY.TUN_FAILED],
    [
      'reading fails',
      (): number => {
        addon.readError = Object.assign(new Error('read: EBADFD'), { syscall: 'read', errno: 77, code: 'EBADFD' });
        return READY.TUN;
      },
    ],
  ])('says that the TUN is gone when %s, and waits for nothing but to be closed', (_, step) => {
    const watched: number[] = [];
    const events = run([step, (watch) => watched.push(watch) && 0]);
    expect(events.map(({ type }) => type)).toEqual(['ready', 'gone']);
    expect(watched).toEqual([READY.WAKE]);
    expect(addon.isClosed).toBe(true);
  });

  it('does not take a broken program for a TUN that is gone', () => {
    addon.readError = new RangeError('a wrong offset');
    expect(() => run([() => READY.TUN])).toThrow(RangeError);
    expect(addon.isClosed).toBe(true);
  });

  it.each([4_096, 512])(
    'hands over handshake messages of strangers while fewer than three quarters of %i, as it was told, are on their way',
    (max) => {
      const handshake = genuine(Uint8Array.of(1, 0, 0, 0, ...bytesFrom(1, 144)));
      const identity: LaneCommand = { type: 'identity', publicKey: GATE_PUBLIC_KEY };
      new Int32Array(handshakesPending).set([0.75 * max - 1, max]);
      const events = run([[identity], fromSocket(handshake, handshake)]);
      expect(events.filter(({ type }) => type === 'handshake').length).toBe(1);
      expect(new Int32Array(handshakesPending)[0]).toBe(0.75 * max);
      expect(readPage(page, 'lane').drops.IN_HANDSHAKE_QUEUE).toBe(1);
    },
  );
});

describe('a keypair', () => {
  it('is received on as soon as the lane says that it has it, and sent with only when it is promoted', () => {
    const events = run([[...peerCommands(), install(0)], fromSocket(message(0, 0)), fromTun(1)]);
    expect(events).toContainEqual({ type: 'installed', token: 70 });
    expect(addon.tunWrites.length).toBe(1);
    expect(sent()).toEqual([]);
    expect(readPage(page, 'lane').counts.STAGED).toBe(1);
  });

  it('that is promoted releases what waited, which stands for the keepalive that would confirm it', () => {
    run([peerCommands(), fromTun(1, 2), [install(0)], [promote(0, true)]]);
    expect(sent()).toEqual([
      [2_000, 112],
      [2_000, 112],
    ]);
  });

  it('that is promoted is confirmed by a keepalive when nothing waited, if that was asked for', () => {
    run([peerCommands(), [install(0), promote(0, true)]]);
    expect(sent()).toEqual([[2_000, 0]]);
    addon.udpSends.length = 0;
    run([peerCommands(), [install(0), promote(0, false)]]);
    expect(sent()).toEqual([]);
  });

  it('that is current sends a keepalive each time it is told to', () => {
    const keepalive = { type: 'keepalive', peer: 0 } as const;
    run([peerCommands(), fromTun(1), use(0), [keepalive], [keepalive]]);
    expect(sent().map(([, length]) => length)).toEqual([112, 0, 0]);
  });
});

describe('a keypair that is next', () => {
  it('opens messages, the first of which is told; it is sent with once it is promoted', () => {
    const events = run([
      [...peerCommands(), ...use(0), install(1, 'next')],
      fromTun(1),
      fromSocket(message(1, 0)),
      fromTun(2),
      [promote(1)],
      fromTun(3),
    ]);
    expect(sent().map(([receiver]) => receiver)).toEqual([2_000, 2_000, 2_001]);
    expect(events).toContainEqual({ type: 'confirmed', peer: 0, keypair: 1 });
  });

  it('that another lane confirmed is current here too, and its first message here says nothing new', () => {
    const events = run([
      [...peerCommands(), ...use(0), install(1, 'next'), promote(1)],
      fromTun(1),
      fromSocket(message(1, 0)),
    ]);
    expect(sent().map(([receiver]) => receiver)).toEqual([2_001]);
    expect(events.filter(({ type }) => type === 'confirmed')).toEqual([]);
  });

  it('is next no more when a newer one became current: its first message does not bring it back', () => {
    // Both ends initiated at once: our own handshake ended last, so that keypair 0 is previous and 1 is current.
    const events = run([[...peerCommands(), install(0, 'next'), ...use(1)], fromSocket(message(0, 0)), fromTun(1)]);
    expect(addon.tunWrites.length).toBe(1);
    expect(sent().map(([receiver]) => receiver)).toEqual([2_001]);
    expect(events.filter(({ type }) => type === 'confirmed')).toEqual([]);
  });
});

describe('a keypair that came as next while an older one was still to be promoted', () => {
  it('is confirmed by its first message all the same', () => {
    // The response to our initiation, then at once an initiation of the peer: keypair 0 is current, 1 is next.
    const events = run([
      [...peerCommands(), install(0, 'current'), install(1, 'next'), promote(0)],
      fromTun(1),
      fromSocket(message(1, 0)),
      [promote(1)],
      fromTun(2),
    ]);
    expect(sent().map(([receiver]) => receiver)).toEqual([2_000, 2_001]);
    expect(events).toContainEqual({ type: 'confirmed', peer: 0, keypair: 1 });
  });
});

describe('the keys of a keypair', () => {
  it('are installed with its cipher', () => {
    const ciphers: (number | undefined)[] = [];
    run([
      [...peerCommands(), install(0), { ...install(1), cipher: 'aes-256-gcm' }],
      () => {
        ciphers.push(...[0, 1, 2, 3].map((slot) => addon.ciphers.get(slot)));
        return 0;
      },
    ]);
    const { CHACHA20_POLY1305: chacha, AES_256_GCM: aes } = CIPHER;
    expect(ciphers).toEqual([chacha, chacha, aes, aes]);
  });
});

describe('a keypair that is retired', () => {
  it('opens nothing any more, sends nothing any more, and its keys are gone', () => {
    let keys = -1;
    run([
      [...peerCommands(), ...use(0)],
      fromSocket(message(0, 0)),
      [{ type: 'retire', peer: 0, keypair: 0 }],
      fromSocket(message(0, 1)),
      fromTun(1),
      () => {
        keys = addon.keys.size;
        return 0;
      },
    ]);
    expect(keys).toBe(0);
    expect(sent()).toEqual([]);
    const { counts, drops } = readPage(page, 'lane');
    expect([counts.TUN_TX, counts.STAGED, drops.IN_UNKNOWN_INDEX]).toEqual([1, 1, 1]);
  });

  it('leaves the others as they are', () => {
    run([
      [...peerCommands(), ...use(0), ...use(1), { type: 'retire', peer: 0, keypair: 0 }],
      fromTun(1),
      fromSocket(message(1, 0)),
    ]);
    expect(sent().map(([receiver]) => receiver)).toEqual([2_001]);
    expect(addon.tunWrites.length).toBe(1);
  });
});

describe('a peer that roams', () => {
  /** A message of the peer from another address, some time after the one before. */
  const from = (place: number, counter: number, laterMs: number): Step => {
    const bytes = message(0, counter);
    return () => {
      addon.nowMs += laterMs;
      addon.udpQueue[4].push({ bytes, segmentLength: 0, source: endpointOf(place) });
      return READY.UDP4;
    };
  };

  it('is answered at its new address at once; the control lane is told every 100 ms at most, of the newest', () => {
    const events = run([
      [...peerCommands(), ...use(0)],
      from(5, 0, 500),
      from(6, 1, 1),
      fromTun(1),
      from(7, 2, 1),
      from(7, 3, 200),
    ]);
    expect(addon.udpSends.map(({ endpoint }) => endpoint)).toEqual([endpointOf(6)]);
    expect(events.filter(({ type }) => type === 'roamed')).toEqual([
      { type: 'roamed', peer: 0, endpoint: endpointOf(5), serial: 0 },
      { type: 'roamed', peer: 0, endpoint: endpointOf(7), serial: 0 },
    ]);
  });
});

describe('what else a lane is told', () => {
  it('about an endpoint decides where datagrams go', () => {
    const endpoint = endpointOf(9, 4);
    run([[...peerCommands(), ...use(0), { type: 'endpoint', peer: 0, endpoint, serial: 1 }], fromTun(1)]);
    expect(addon.udpSends.map((send) => send.endpoint)).toEqual([endpoint]);
  });

  it('about groups decides how many datagrams make one, until it is told otherwise', () => {
    const groups = (datagramsMax: number): LaneCommand[] => [
      { type: 'groups', peer: 0, datagramsMax, shortTail: true },
    ];
    const four = fromTun(1, 2, 3, 4);
    run([[...peerCommands(), ...use(0), ...groups(3)], four, groups(64), four]);
    expect(addon.udpSends.map(({ datagrams }) => datagrams.length)).toEqual([3, 1, 4]);
  });

  it('about control messages sends them, each list as one group, whatever groups the peer gets otherwise', () => {
    const one: LaneCommand = { type: 'groups', peer: 0, datagramsMax: 1, shortTail: false };
    const plaintexts = [40, 40, 20].map((length, index) => new Uint8Array(length).fill(index + 1));
    const control: LaneCommand = { type: 'control', peer: 0, groups: [plaintexts, [Uint8Array.of(1, 9, 0, 0)]] };
    run([[...peerCommands(), ...use(0), one, control], fromTun(1, 2)]);
    expect(addon.udpSends.map(({ datagrams }) => datagrams.length)).toEqual([3, 1, 1, 1]);
    const opened = addon.udpSends.flatMap(({ datagrams }) => datagrams).map((datagram) => openMessage(datagram, 0));
    expect(opened.every(({ isAuthentic }) => isAuthentic)).toBe(true);
    expect(opened.slice(0, 4).map(({ plaintext }) => [plaintext.length, plaintext[0]])).toEqual([
      [48, 1],
      [48, 2],
      [32, 3],
      [16, 1],
    ]);
    expect(readPage(page, 'lane').counts).toMatchObject({ CONTROL_TX: 4, KEEPALIVE_TX: 0, UDP_TX: 6 });
  });

  it('about control messages for a peer without a keypair sends nothing and asks for nothing', () => {
    const events = run([[...peerCommands(), { type: 'control', peer: 0, groups: [[Uint8Array.of(1, 9, 0, 0)], []] }]]);
    expect(events.map(({ type }) => type)).toEqual(['ready']);
    expect(addon.udpSends).toEqual([]);
  });

  it('about an MTU decides how far it pads', () => {
    const run101 = (): number => {
      addon.tunQueue.push(plainFromTun(udpPacketBytes(1, 2, 101)));
      return READY.TUN;
    };
    run([[...peerCommands(), ...use(0)], run101, [{ type: 'mtu', mtu: 104 }], run101]);
    expect(sent().map(([, length]) => length)).toEqual([112, 104]);
  });

  it('about a peer that is gone drops what waited for it, and what comes for it', () => {
    run([peerCommands(), fromTun(1, 2), [{ type: 'unpeer', peer: 0 }], fromTun(3)]);
    expect(readPage(page, 'lane').drops).toMatchObject({ OUT_STAGED_EXPIRED: 2, OUT_NO_ROUTE: 1 });
  });

  it('about staged packets drops them', () => {
    run([peerCommands(), fromTun(1, 2), [{ type: 'dropStaged', peer: 0 }, ...use(0)]]);
    expect(readPage(page, 'lane').drops.OUT_STAGED_EXPIRED).toBe(2);
    expect(sent()).toEqual([]);
  });

  it('about peers and keypairs that it does not know changes nothing', () => {
    const events = run([
      [
        { type: 'retire', peer: 3, keypair: 3 },
        { type: 'keepalive', peer: 3 },
        ...peerCommands(),
        promote(8, true),
        { type: 'retire', peer: 0, keypair: 8 },
        { type: 'keepalive', peer: 0 },
      ],
    ]);
    expect(events.map(({ type }) => type)).toEqual(['ready']);
    expect(sent()).toEqual([]);
  });
});
