/**
 * Changes of a device in any order, against a slow model; and what its lanes are told meanwhile, by a lane that only keeps
 * book of it and answers when it likes.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviceChange, PeerChange } from '../../src/control/device-change.ts';
import { formatPrefix, parseAddress } from '../../src/control/ip-text.ts';
import { formatKey, publicKeyOf } from '../../src/control/key-text.ts';
import type { Logger } from '../../src/control/log.ts';
import { ControlLane } from '../../src/control-lane.ts';
import { CONTROL_ARENA_BYTES } from '../../src/control-sender.ts';
import { checkChange } from '../../src/device-change-check.ts';
import { DevicePeers } from '../../src/device-peers.ts';
import { type HistorySettings, NO_HISTORY } from '../../src/history/settings.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { openPage } from '../../src/ledger/page.ts';
import type { LaneHandle } from '../../src/native/types.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { type AllowedIp, lookupIpv4, lookupIpv6, NO_PEER } from '../../src/tables/allowed-ips.ts';
import type { LaneCommand } from '../../src/tables/lane-messages.ts';
import { scanAllowedIps } from '../reference/allowed-ips.ts';
import { DeviceModel } from '../reference/device-model.ts';

const LANES = 2;
const silent = (): void => undefined;
const log: Logger = { debug: silent, info: silent, warn: silent, error: silent };
const PRIVATE_KEYS = [1, 2, 3].map((byte) => clamped(byte));
const PUBLIC_KEYS = [...PRIVATE_KEYS.map(publicKeyOf), ...[4, 5, 6, 7].map((byte) => new Uint8Array(32).fill(byte))];
const ADDRESSES = ['10.0.0.1', '10.0.1.2', '10.1.0.0', '192.168.7.7', 'fd00::1', 'fd00:0:0:1::', '2001:db8::9'].map(
  (text) => parseAddress(text) ?? new Uint8Array(4),
);

function clamped(byte: number): Uint8Array {
  const key = new Uint8Array(32).fill(byte);
  key[0] &= 0xf8;
  key[31] = 0x40;
  return key;
}

const prefix = fc
  .tuple(fc.constantFrom(...ADDRESSES), fc.constantFrom(0, 7, 8, 15, 16, 24, 31, 32, 64, 128))
  .map(([address, length]) => ({ address, length: Math.min(length, address.length * 8) }));
const presharedKey = fc.constantFrom(null, new Uint8Array(32), new Uint8Array(32).fill(9));
const endpoint = fc.record({
  address: fc.constantFrom('1.2.3.4', '2001:db8::1'),
  port: fc.integer({ min: 1, max: 9 }),
});

const peerChange: fc.Arbitrary<PeerChange> = fc.record(
  {
    publicKey: fc.constantFrom(...PUBLIC_KEYS),
    remove: fc.constantFrom(false, false, true),
    updateOnly: fc.boolean(),
    presharedKey,
    endpoint,
    persistentKeepaliveSeconds: fc.constantFrom(0, 25, 65_535),
    replaceAllowedIps: fc.boolean(),
    allowedIps: fc.array(fc.record({ prefix, remove: fc.constantFrom(false, false, true) }), { maxLength: 5 }),
  },
  { requiredKeys: ['publicKey'] },
);
const change: fc.Arbitrary<DeviceChange> = fc.record(
  {
    privateKey: fc.constantFrom(null, ...PRIVATE_KEYS),
    replacePeers: fc.constantFrom(false, false, true),
    peers: fc.array(peerChange, { maxLength: 5 }),
  },
  { requiredKeys: [] },
);

type Step = { readonly change: DeviceChange } | { readonly publish: true } | { readonly answer: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: fc.record({ change }), weight: 3 },
  { arbitrary: fc.constant({ publish: true } as const), weight: 1 },
  { arbitrary: fc.record({ answer: fc.nat(LANES - 1) }), weight: 2 },
);

/** What lanes have been told, and who they take for whom. */
class LaneBook {
  /** Public keys by id. */
  readonly peers: Map<number, string> = new Map();
  tables: Extract<LaneCommand, { type: 'routes' }> | null = null;
  /** Whom an id meant when the tables were made. */
  meant: ReadonlyMap<number, string> = new Map();
  /** Of all peers, as they were told; null for none. */
  readonly histories: (HistorySettings | null)[] = [];
  readonly #unanswered: number[][] = Array.from({ length: LANES }, () => []);
  readonly #nameOf: (id: number) => string;

  constructor(nameOf: (id: number) => string) {
    this.#nameOf = nameOf;
  }

  hear(command: LaneCommand): void {
    if (command.type === 'history') this.histories.push(command.settings);
    if (command.type === 'mark') for (const tokens of this.#unanswered) tokens.push(command.token);
    if (command.type === 'unpeer') this.peers.delete(command.peer);
    if (command.type === 'peers') for (const { peer } of command.peers) this.#meet(peer);
    if (command.type !== 'routes') return;
    this.tables = command;
    this.meant = new Map(this.peers);
  }

  /** The oldest mark that a lane has not answered. */
  takeMark(lane: number): number | undefined {
    return this.#unanswered[lane]?.shift();
  }

  /** By the tables of now: the peer that a packet to this address goes to. */
  routeOf(address: Uint8Array): string | undefined {
    const id = this.tables === null ? NO_PEER : lookup(this.tables, address);
    return this.peers.get(id);
  }

  #meet(id: number): void {
    expect(this.peers.has(id)).toBe(false);
    const name = this.#nameOf(id);
    this.peers.set(id, name);
    // Nobody gets what is meant for the one that had its number before.
    if (this.tables !== null && this.meant.has(id))
      for (const address of ADDRESSES) if (lookup(this.tables, address) === id) expect(this.meant.get(id)).toBe(name);
  }
}

function lookup({ ipv4, ipv6 }: { ipv4: Int32Array; ipv6: Int32Array }, address: Uint8Array): number {
  const view = new DataView(address.buffer, address.byteOffset, address.length);
  if (address.length === 4) return lookupIpv4(ipv4, view.getInt32(0));
  return lookupIpv6(ipv6, view.getInt32(0), view.getInt32(4), view.getInt32(8), view.getInt32(12));
}

function open(): { readonly control: ControlLane; readonly peers: DevicePeers; readonly book: LaneBook } {
  const post = (command: LaneCommand): void => book.hear(command);
  const control = new ControlLane({
    privateKey: null,
    timing: WIREGUARD_TIMING,
    prefersAes: false,
    indexWatcher: { take: () => undefined, release: () => undefined },
    log,
    lanes: LANES,
    arena: new Uint8Array(new SharedArrayBuffer(CONTROL_ARENA_BYTES)),
    // Its interface is never up: nothing is sent.
    handle: {} as LaneHandle,
    ledger: new Ledger(openPage()),
    handshakesPending: new Int32Array(2),
    offloads: { datagramsMax: 64, announces: true, mtu: () => 1_420, log },
    post,
  });
  const book = new LaneBook((id) => formatKey(control.machine.peerPublicKey(id)));
  return { control, peers: new DevicePeers({ control, post }), book };
}

describe('histories that change in one go', () => {
  it('first become less where they do, so that there is room for what becomes more', () => {
    const { control, peers, book } = open();
    const [grown, shrunk, gone, added] = PUBLIC_KEYS.slice(3) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const kept = (mebibytes: number): HistorySettings => ({
      ...NO_HISTORY,
      retransmitMs: 150,
      ringBytes: mebibytes * 1_048_576,
    });
    const set = (changes: readonly PeerChange[]): (number | null)[] => {
      book.histories.length = 0;
      const change = { peers: [...changes] };
      peers.apply(change, checkChange(change));
      return book.histories.map((settings) => settings && settings.ringBytes / 1_048_576);
    };
    set([grown, shrunk, gone].map((publicKey, at) => ({ publicKey, history: kept([1, 60, 32][at] ?? 0) })));
    const told = set([
      { publicKey: grown, history: kept(60) },
      { publicKey: added, history: kept(32) },
      { publicKey: shrunk, history: kept(2) },
      { publicKey: gone, remove: true },
    ]);
    expect(told.slice(0, 2)).toEqual([2, null]);
    expect(told.slice(2).filter((mebibytes) => mebibytes !== 2)).toEqual([60, 32]);
    peers.close();
    control.close();
  });
});

describe('the peers of a device', () => {
  it('are what a slow model says after any changes, and so are the routes of its lanes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const { control, peers, book } = open();
        const model = new DeviceModel();
        for (const taken of steps) {
          if ('change' in taken) {
            peers.apply(taken.change, checkChange(taken.change));
            model.apply(taken.change);
            expect(shown(peers)).toEqual(model.peers);
            expect(control.machine.privateKey).toEqual(model.privateKey);
          } else if ('publish' in taken) {
            peers.publish();
            expectRoutes(book, model);
          } else {
            const token = book.takeMark(taken.answer);
            if (token !== undefined) control.take({ type: 'marked', token }, taken.answer);
          }
        }
        peers.publish();
        expectRoutes(book, model);
        peers.close();
        control.close();
      }),
      { numRuns: 400 },
    );
  });

  it('use ids again, and memory, when all lanes have answered: none grows when peers come and go', () => {
    const { control, peers, book } = open();
    for (let round = 0; round < 100; round += 1) {
      const publicKey = new Uint8Array(32).fill(10 + (round % 50));
      const coming = { replacePeers: true, peers: [{ publicKey }] };
      peers.apply(coming, checkChange(coming));
      peers.publish();
      for (let lane = 0; lane < LANES; lane += 1) {
        const token = book.takeMark(lane);
        if (token !== undefined) control.take({ type: 'marked', token }, lane);
      }
      expect(Math.max(...control.peers.keys())).toBeLessThan(2);
      expect(control.peers.values().next().value?.cells.byteOffset).toBeLessThan(256);
    }
    control.close();
  });
});

function shown(peers: DevicePeers): unknown[] {
  return peers.settings().map((peer) => ({
    publicKey: formatKey(peer.publicKey),
    presharedKey: peer.presharedKey && formatKey(peer.presharedKey),
    endpoint: peer.endpoint && `${peer.endpoint.address} ${peer.endpoint.port}`,
    persistentKeepaliveSeconds: peer.persistentKeepaliveSeconds,
    prefixes: peer.allowedIps.map(formatPrefix),
  }));
}

function expectRoutes(book: LaneBook, model: DeviceModel): void {
  const prefixes = model.peers.flatMap(({ prefixes: held }, peer) => held.map((text): AllowedIp => parse(text, peer)));
  for (const address of ADDRESSES)
    expect(book.routeOf(address)).toBe(model.peers[scanAllowedIps(prefixes, address)]?.publicKey);
}

function parse(text: string, peer: number): AllowedIp {
  const [address = '', length] = text.split('/');
  return { address: parseAddress(address) ?? new Uint8Array(), length: Number(length), peer };
}
