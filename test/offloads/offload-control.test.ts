/** The control lane's part: paths driven by lanes' words and one timer, in fake time; idle peers cost nothing. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Logger } from '../../src/control/log.ts';
import { OffloadControl } from '../../src/offloads/offload-control.ts';
import { decodeControlMessage, encodeControlMessage } from '../../src/protocol/control-message.ts';
import { KeypairMemory, NEWEST_RECEIVED, NEXT_COUNTER, RECEIVED_COUNT } from '../../src/tables/keypair-memory.ts';
import type { LaneCommand } from '../../src/tables/lane-messages.ts';

let posted: { command: LaneCommand; to: number | 'all' }[];
let bytes: number[];
let control: OffloadControl;

const silent = (): void => undefined;
const log: Logger = { debug: silent, info: silent, warn: silent, error: silent };
const AUTO = { offloads: 'auto', announces: true } as const;
const HELLO = encodeControlMessage({ kind: 'announce', capabilities: 3, heard: true });

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  posted = [];
  bytes = [];
  control = new OffloadControl({
    ...{ datagramsMax: 64, announces: true, mtu: () => 1_420, log },
    nowMs: () => Date.now(),
    transfer: (peer) => ({ sentBytes: bytes[peer] ?? 0, receivedBytes: 0 }),
    post: (command, to) => posted.push({ command, to }),
  });
});

afterEach(() => {
  control.close();
  vi.useRealTimers();
});

/** A peer with a keypair; returns the keypair's memory. */
function addPeer(id: number, choice: Parameters<OffloadControl['addPeer']>[2] = AUTO): KeypairMemory {
  const memory = KeypairMemory.allocate();
  control.addPeer(id, `peer ${id}`, choice);
  control.installed(id, 100 + id, 1, 2, { memory, offset: 0 });
  control.promoted(id, 100 + id);
  return new KeypairMemory(memory);
}

/** Kinds of the control messages to a peer, one per group. */
function kindsTo(peer: number): string[] {
  return posted.flatMap(({ command }) =>
    command.type === 'control' && command.peer === peer
      ? command.groups.map(([first]) => decodeControlMessage(first ?? new Uint8Array(0))?.kind ?? '')
      : [],
  );
}

it('announces on the first keypair through lane 0, and rests when nothing flows', () => {
  addPeer(0);
  expect(posted.map(({ command, to }) => [command.type, to])).toEqual([['control', 0]]);
  vi.advanceTimersByTime(60_000);
  expect(kindsTo(0)).toEqual(['announce']);
  expect(vi.getTimerCount()).toBe(0);
});

it('hears the announcement by which an initiator confirms the first keypair, and goes on announcing until it is heard', () => {
  control.addPeer(0, 'peer 0', AUTO);
  const unheard = encodeControlMessage({ kind: 'announce', capabilities: 3, heard: false });
  control.take(0, unheard);
  expect(posted).toEqual([]);
  control.installed(0, 100, 1, 2, { memory: KeypairMemory.allocate(), offset: 0 });
  control.take(0, unheard);
  control.promoted(0, 100);
  expect(control.capabilities(0)).toBe(3);
  posted.length = 0;
  vi.advanceTimersByTime(60_000);
  expect(kindsTo(0).length).toBeGreaterThan(3);
  control.take(0, HELLO);
  posted.length = 0;
  vi.advanceTimersByTime(600_000);
  expect(kindsTo(0)).toEqual([]);
});

it('probes a gigatun as soon as something flows, eight at a time', () => {
  for (let peer = 0; peer < 20; peer += 1) {
    addPeer(peer);
    control.take(peer, HELLO);
    bytes[peer] = 0;
  }
  vi.advanceTimersByTime(5_000);
  const probed = (): number => bytes.filter((_, peer) => kindsTo(peer).includes('probe')).length;
  expect(probed()).toBe(0);
  for (let peer = 0; peer < 20; peer += 1) bytes[peer] = 5_000;
  vi.advanceTimersByTime(1_400);
  expect(probed()).toBe(8);
  for (let second = 0; second < 90; second += 1) {
    for (let peer = 0; peer < 20; peer += 1) bytes[peer] += 5_000;
    vi.advanceTimersByTime(1_000);
  }
  expect(probed()).toBe(20);
  expect(posted.filter(({ command }) => command.type === 'groups')).toEqual([]);
});

it('probes a gigatun although another one has something to say more often than the timer runs', () => {
  addPeer(1);
  control.take(1, HELLO);
  bytes[1] = 5_000;
  vi.advanceTimersByTime(1_000);
  expect(kindsTo(1)).toContain('probe');
  addPeer(0);
  control.take(0, HELLO);
  for (let step = 0; step < 150; step += 1) {
    control.take(1, HELLO);
    bytes[0] = (bytes[0] ?? 0) + 5_000;
    vi.advanceTimersByTime(20);
  }
  expect(kindsTo(0)).toContain('probe');
});

it('rests while there are keepalives alone, and looks when more flows', () => {
  addPeer(0);
  vi.advanceTimersByTime(60_000);
  bytes[0] = 1_000;
  control.touch(0);
  expect(vi.getTimerCount()).toBe(0);
  bytes[0] = 1_100;
  control.touch(0);
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(60_000);
  expect(vi.getTimerCount()).toBe(0);
});

it('looks no longer at the memory of a keypair that is retired, sent with or not', () => {
  const memory = addPeer(0);
  const other = KeypairMemory.allocate();
  control.installed(0, 200, 3, 4, { memory: other, offset: 0 });
  control.retired(0, 200);
  control.promoted(0, 200);
  expect(kindsTo(0)).toEqual(['announce']);
  control.take(0, HELLO);
  memory.counters[NEWEST_RECEIVED] = 1_000;
  memory.counters[RECEIVED_COUNT] = 1_000;
  control.retired(0, 100);
  vi.advanceTimersByTime(5_000);
  expect(kindsTo(0)).not.toContain('received');
});

it('tells all lanes of a peer that gets no groups, and shows it', () => {
  addPeer(3, { offloads: 'none', announces: true });
  expect(posted[0]).toEqual({ command: { type: 'groups', peer: 3, datagramsMax: 1, shortTail: true }, to: 'all' });
  expect(control.status(3)).toEqual({ isGigatun: false, datagramsMax: 1, shortTail: true, retrySeconds: null });
});

it('announces nothing where the peer or the device is told not to', () => {
  addPeer(0, { offloads: 'auto', announces: false });
  expect(posted).toEqual([]);
});

it('shows what a lane found out about the lengths that a peer takes', () => {
  addPeer(0);
  control.refused(0, 90, 1_060_000);
  expect(control.status(0)).toMatchObject({ datagramsMax: 1, retrySeconds: 60 });
  vi.advanceTimersByTime(60_000);
  expect(control.status(0)).toMatchObject({ datagramsMax: 64, retrySeconds: null });
});

it('holds groups back from a stock peer to which little flows', () => {
  const memory = addPeer(0);
  for (let second = 0; second < 6; second += 1) {
    bytes[0] = (bytes[0] ?? 0) + 100_000;
    memory.counters[NEXT_COUNTER] += 70;
    vi.advanceTimersByTime(1_000);
  }
  const groups = posted.filter(({ command }) => command.type === 'groups');
  expect(groups).toEqual([{ command: { type: 'groups', peer: 0, datagramsMax: 1, shortTail: true }, to: 'all' }]);
});

it('ignores what is said about peers that it does not know, and all when it is closed', () => {
  control.take(9, HELLO);
  control.promoted(9, 1);
  control.moved(9);
  control.touch(9);
  addPeer(0);
  control.close();
  control.touch(0);
  expect(vi.getTimerCount()).toBe(0);
});
