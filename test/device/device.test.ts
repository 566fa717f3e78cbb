/**
 * A device with a real TUN and real sockets whose lanes are played by the test: how it opens, ends and closes, and what
 * is left of it then. The interface stays down, in this machine's own namespace, and has no address.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DeviceConfig } from '../../src/control/config-types.ts';
import { publicKeyOf } from '../../src/control/key-text.ts';
import type { Logger } from '../../src/control/log.ts';
import type { ControlLaneOptions } from '../../src/control-lane-types.ts';
import { openDevice, openTimedDevice } from '../../src/device.ts';
import type { Device, DeviceOptions } from '../../src/device-types.ts';
import { laneHeapLimits } from '../../src/memory/budget.ts';
import type { OffloadName } from '../../src/offloads/offload-name.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import type { LaneCommand } from '../../src/tables/lane-messages.ts';
import { titled, tunMissing } from '../native/support.ts';
import { fileBehind, PlayedLane, playedLanes } from './support/played-lane.ts';

vi.mock('node:worker_threads', async (original) => {
  const { PlayedLane: Worker } = await import('./support/played-lane.ts');
  return { ...(await original<typeof import('node:worker_threads')>()), Worker };
});

/** Private keys as the control lane is given them, and keeps them. */
const givenKeys = vi.hoisted((): (Uint8Array | null)[] => []);

vi.mock('../../src/control-lane.ts', async (original) => {
  const real = await original<typeof import('../../src/control-lane.ts')>();
  class ControlLane extends real.ControlLane {
    constructor(options: ControlLaneOptions) {
      super(options);
      givenKeys.push(options.privateKey);
    }
  }
  return { ...real, ControlLane };
});

const NAME = `gt-d${process.pid}`;
const missing = tunMissing();
let warnings: string[] = [];
const silent = (): void => undefined;
const log: Logger = { debug: silent, info: silent, warn: (message) => warnings.push(message), error: silent };

function configOf(peers = 0): DeviceConfig {
  return {
    privateKey: randomBytes(32),
    listenPort: 0,
    fwmark: 0,
    peers: Array.from({ length: peers }, (_, peer) => ({
      publicKey: Uint8Array.from(randomBytes(32)),
      presharedKey: Uint8Array.from(randomBytes(32)),
      endpoint: { address: 'fe80::1%1', port: 9 },
      allowedIps: [{ address: Uint8Array.of(10, 0, 0, peer), length: 32 }],
      persistentKeepaliveSeconds: 0,
    })),
  };
}

const options = (part: Partial<DeviceOptions> = {}): DeviceOptions => ({
  name: NAME,
  config: configOf(),
  log,
  ...part,
});

/** Which of a lane's descriptors are open: TUN, IPv4, IPv6. */
const openOf = (lane: PlayedLane): boolean[] => lane.files.map((file, index) => fileBehind(lane.fds[index]) === file);
const ALL_OPEN = [true, true, true];
const ALL_CLOSED = [false, false, false];

describe.skipIf(missing !== null)(titled('a device', missing), () => {
  let device: Device | null = null;

  beforeEach(() => {
    playedLanes.length = 0;
    warnings = [];
    PlayedLane.whenStarted = (lane) => lane.ready();
    PlayedLane.whenClosed = (lane) => lane.end();
  });

  afterEach(async () => {
    PlayedLane.whenClosed = (lane) => lane.end();
    await device?.close();
    device = null;
  });

  test('closes all that its lanes used when they have ended', async () => {
    device = await openDevice(options({ lanes: 3 }));
    expect(playedLanes.map(openOf)).toEqual([ALL_OPEN, ALL_OPEN, ALL_OPEN]);
    await device.close();
    expect(playedLanes.map(openOf)).toEqual([ALL_CLOSED, ALL_CLOSED, ALL_CLOSED]);
    expect(await device.closed).toEqual({ reason: 'closed', error: null });
    expect(warnings).toEqual([]);
  });

  test.each<[readonly OffloadName[], readonly string[], object]>([
    [[], [], { gsoDatagramsMax: 1, tcpSuperPackets: false, udpSuperPackets: false }],
    [['tun-tso'], ['csum', 'tso4', 'tso6'], { gsoDatagramsMax: 1, tcpSuperPackets: true, udpSuperPackets: false }],
    [['udp-gro'], ['gro'], { gsoDatagramsMax: 1, tcpSuperPackets: false, udpSuperPackets: false }],
    [['udp-gso'], ['gso'], { gsoDatagramsMax: expect.toBeOneOf([64, 128]), tcpSuperPackets: false }],
  ])('opens the offloads %j and no others', async (offloads, shown, limits) => {
    device = await openDevice(options({ offloads }));
    expect(device.status().offloads).toEqual(shown);
    expect(playedLanes[0]?.start.limits).toMatchObject(limits);
  });

  test('tells resident memory, its cap, and limits the heaps of its lanes by it', async () => {
    device = await openDevice(options({ memoryCapBytes: 150e6 }));
    expect(device.status()).toMatchObject({ memoryCapBytes: 150e6, memoryCrossingsCount: 0 });
    expect(device.status().rssBytes).toBeGreaterThan(10e6);
    expect(playedLanes[0]?.resourceLimits).toEqual(laneHeapLimits(150e6, { lanes: 1, peers: 0 }));
    await device.close();
    device = await openDevice(options());
    expect(device.status().memoryCapBytes).toBeNull();
    expect(playedLanes[1]?.resourceLimits).toEqual(laneHeapLimits(null, { lanes: 1, peers: 0 }));
  });

  test('that cannot fit under its cap is refused before anything is opened', async () => {
    const asked = openDevice(options({ memoryCapBytes: 100e6, lanes: 8 }));
    await expect(asked).rejects.toMatchObject({ code: 'CONFIG', message: expect.stringContaining('run 1 lane') });
    expect(playedLanes).toEqual([]);
    expect(() => execFileSync('ip', ['link', 'show', NAME], { stdio: 'ignore' })).toThrow();
  });

  test('whose memory is at its cap asks its lanes to collect their garbage, and lets fewer handshakes wait', async () => {
    const resident = vi.spyOn(process.memoryUsage, 'rss').mockReturnValue(151e6);
    device = await openDevice(options({ memoryCapBytes: 150e6 }));
    await vi.waitFor(() => expect(playedLanes[0]?.commands).toContainEqual({ type: 'collect' }), 5_000);
    resident.mockRestore();
    expect(device.status().memoryCrossingsCount).toBe(1);
    expect(warnings).toEqual([expect.stringMatching(/memory is at its cap/)]);
    expect(new Int32Array(playedLanes[0]?.start.handshakesPending ?? new SharedArrayBuffer(8))[1]).toBe(512);
  });

  test('tells lanes of a peer that gets no groups, and of no other', async () => {
    const config = configOf(2);
    const peers = config.peers.map((peer, index) => ({ ...peer, offloads: index === 1 ? 'none' : 'auto' }) as const);
    device = await openDevice(options({ config: { ...config, peers } }));
    const commandsOf = (wanted: string): unknown[] =>
      playedLanes[0]?.commands.filter(({ type }) => type === wanted) ?? [];
    await vi.waitFor(() => expect(commandsOf('routes').length).toBe(1));
    expect(commandsOf('groups')).toEqual([{ type: 'groups', peer: 1, datagramsMax: 1, shortTail: true }]);
  });

  test('on a port that is taken is BUSY and leaves no interface', async () => {
    device = await openDevice(options({ lanes: 2 }));
    const config = { ...configOf(), listenPort: device.listenPort };
    const other = `${NAME}b`;
    await expect(openDevice(options({ name: other, config, lanes: 2 }))).rejects.toMatchObject({ code: 'BUSY' });
    expect(() => execFileSync('ip', ['link', 'show', other], { stdio: 'ignore' })).toThrow();
  });

  test('a lane that ends while a later one opens ends the device: no further lane starts, and none stays', async () => {
    PlayedLane.whenStarted = (lane) => {
      lane.ready();
      if (lane.start.index === 1) playedLanes[0]?.end(new Error('died early'));
    };
    await expect(openDevice(options({ lanes: 4 }))).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('lane 0 failed'),
    });
    expect(playedLanes.map(({ hasEnded }) => hasEnded)).toEqual([true, true]);
    expect(playedLanes.map(openOf)).toEqual([ALL_CLOSED, ALL_CLOSED]);
  });

  test('an interface that is deleted while lanes open is GONE; the lane that was opening keeps its descriptors until it ends', async () => {
    let openAtClose: boolean[] = [];
    PlayedLane.whenStarted = (lane) => {
      if (lane.start.index === 0) lane.ready();
      else playedLanes[0]?.tell({ type: 'gone', message: 'the interface was deleted' });
    };
    PlayedLane.whenClosed = (lane) => {
      if (lane.start.index === 1) openAtClose = openOf(lane);
      lane.end();
    };
    const error = { code: 'GONE', message: expect.stringContaining('the interface was deleted') };
    await expect(openDevice(options({ lanes: 3 }))).rejects.toMatchObject(error);
    expect(openAtClose).toEqual(ALL_OPEN);
    expect(playedLanes.map(openOf)).toEqual([ALL_CLOSED, ALL_CLOSED]);
  });

  test('a lane that fails to start tells why, by the code it gave', async () => {
    PlayedLane.whenStarted = (lane) =>
      lane.end(Object.assign(new Error('no such back end'), { name: 'GigatunError', code: 'UNSUPPORTED' }));
    const error = { code: 'UNSUPPORTED', message: 'no such back end' };
    await expect(openDevice(options({ aead: 'ipsec-mb' }))).rejects.toMatchObject(error);
    expect(playedLanes.map(openOf)).toEqual([ALL_CLOSED]);
  });

  test('a lane that does not stop keeps its descriptors until it does, and is logged', {
    timeout: 10_000,
  }, async () => {
    device = await openDevice(options({ lanes: 2 }));
    PlayedLane.whenClosed = (lane) => {
      if (lane.start.index === 0) lane.end();
    };
    await device.close();
    expect(playedLanes.map(openOf)).toEqual([ALL_CLOSED, ALL_OPEN]);
    expect(warnings).toEqual([expect.stringMatching(/a lane does not stop/)]);
    playedLanes[1]?.end();
    await vi.waitFor(() => expect(playedLanes.map(openOf)).toEqual([ALL_CLOSED, ALL_CLOSED]));
  });

  test('keeps neither its configuration nor a key of it', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { opened, refs } = await openAndForget();
    device = opened;
    await vi.waitFor(() => {
      collect();
      expect(refs.map((ref) => ref.deref())).toEqual(refs.map(() => undefined));
    });
    expect(device.status().peers[0]).toMatchObject({ hasPresharedKey: true, allowedIps: ['10.0.0.0/32'] });
  });

  test('uses the private key, and zeroes what it handed on of it but not what it was given', async () => {
    const config = configOf();
    const privateKey = Uint8Array.from(config.privateKey ?? []);
    givenKeys.length = 0;
    device = await openDevice(options({ config }));
    expect(device.status().publicKey).toBe(Buffer.from(publicKeyOf(privateKey)).toString('base64'));
    expect(givenKeys).toEqual([new Uint8Array(32)]);
    expect(Uint8Array.from(config.privateKey ?? [])).toEqual(privateKey);
  });

  test('lives on when the caller zeroes its arrays', async () => {
    const config = configOf(1);
    device = await openDevice(options({ config }));
    const before = device.status();
    config.privateKey?.fill(0);
    for (const { publicKey, presharedKey, allowedIps } of config.peers)
      for (const bytes of [publicKey, presharedKey, ...allowedIps.map(({ address }) => address)]) bytes?.fill(0);
    expect(device.status()).toEqual(before);
    expect(before.peers[0]).toMatchObject({ endpoint: '[fe80::1%1]:9', hasPresharedKey: true });
  });

  test('tells its lanes of thousands of peers in a few commands, whose cells lie in shared chunks', async () => {
    device = await openDevice(options({ config: configOf(3_000), lanes: 2 }));
    await vi.waitFor(() => expect(playedLanes[1]?.commands.some(({ type }) => type === 'routes')).toBe(true));
    for (const lane of playedLanes) {
      const told = lane.commands.filter(({ type }) => type === 'peers') as Extract<LaneCommand, { type: 'peers' }>[];
      expect(told.map(({ peers }) => peers.length)).toEqual([1_024, 1_024, 952]);
      const entries = told.flatMap(({ peers }) => peers);
      expect(entries.map(({ peer }) => peer)).toEqual(Array.from({ length: 3_000 }, (_, peer) => peer));
      const chunkBytes = entries[0]?.memory.byteLength ?? 0;
      expect(entries.filter(({ offset }) => offset === 0)).toHaveLength(Math.ceil(3_000 / (chunkBytes / 128)));
      expect(lane.commands.length).toBe(told.length + 2);
    }
  });

  test('shows each prefix of each peer as it was configured', async () => {
    const config = configOf(2);
    const allowedIps = [
      { address: Uint8Array.of(10, 1, 2, 0), length: 24 },
      { address: Uint8Array.from({ length: 16 }, (_, at) => (at === 0 ? 0xfd : at)), length: 128 },
      { address: new Uint8Array(16), length: 0 },
    ];
    const peers = config.peers.map((peer, at) => ({ ...peer, allowedIps: at === 0 ? allowedIps : [] }));
    device = await openDevice(options({ config: { ...config, peers } }));
    const text = ['10.1.2.0/24', 'fd01:203:405:607:809:a0b:c0d:e0f/128', '::/0'];
    expect(device.status().peers.map((peer) => peer.allowedIps)).toEqual([text, []]);
  });

  test('gives its lanes WireGuard its times, and others only where a test asks for them', async () => {
    device = await openDevice({ ...options(), timing: { KEEPALIVE_TIMEOUT_MS: 1 } } as DeviceOptions);
    expect(playedLanes[0]?.start.timing).toEqual(WIREGUARD_TIMING);
    await device.close();
    const timing = { ...WIREGUARD_TIMING, KEEPALIVE_TIMEOUT_MS: 1 };
    device = await openTimedDevice(options(), timing);
    expect(playedLanes[1]?.start.timing).toEqual(timing);
  });

  async function openAndForget(): Promise<{ opened: Device; refs: WeakRef<object>[] }> {
    const config = configOf(1);
    const keys = [config.privateKey, config.peers[0]?.presharedKey].filter((key) => key !== null && key !== undefined);
    const refs = [config, ...keys].map((held) => new WeakRef<object>(held));
    expect(refs.length).toBe(3);
    return { opened: await openDevice(options({ config })), refs };
  }
});
