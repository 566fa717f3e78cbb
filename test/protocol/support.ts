/** What tests of the protocol share: seeded random bytes, endpoints, and machines that know each other. */
import type { Endpoint } from '../../src/packet/endpoint.ts';
import type { Action } from '../../src/protocol/action.ts';
import { type Timing, WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { DeviceMachine, type PeerOptions } from '../../src/protocol/device-machine.ts';
import type { PeerTimes } from '../../src/protocol/timers.ts';

/** A repeatable source of numbers from 0 up to 1 (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A repeatable source of random bytes. */
export function seededBytes(seed: number): (length: number) => Uint8Array {
  const random = seededRandom(seed);
  return (length) => Uint8Array.from({ length }, () => random() * 256);
}

export function endpoint(lastByte: number, port = 51820): Endpoint {
  const address = Uint8Array.of(192, 0, 2, lastByte);
  return { family: 4, address, port, scope: 0, localAddress: null, localInterface: 0 };
}

export const NO_TIMES: PeerTimes = {
  unansweredSinceMs: 0,
  owedSinceMs: 0,
  lastDataReceivedMs: 0,
  lastSentMs: 0,
  lastReceivedMs: 0,
};

/** 2023-11-14, when monotonic time is 0. */
export const EPOCH_MS = 1_700_000_000_000;

/** A device with one peer, and its calls with the real time filled in. */
export class Side {
  readonly machine: DeviceMachine;
  readonly endpoint: Endpoint;
  peer = -1;

  constructor(seed: number, timing: Timing = WIREGUARD_TIMING, prefersAes = true) {
    const random = seededBytes(seed);
    this.machine = new DeviceMachine({ privateKey: random(32), timing, random, prefersAes });
    this.endpoint = endpoint(seed & 0xff);
  }

  get publicKey(): Uint8Array {
    return this.machine.publicKey ?? new Uint8Array(0);
  }

  want(nowMs: number): Action[] {
    return this.machine.wantHandshake(this.peer, nowMs, EPOCH_MS + nowMs);
  }

  receive(message: Uint8Array, from: Side, nowMs: number, underLoad = false): Action[] {
    return this.machine.receiveHandshake(message, from.endpoint, nowMs, EPOCH_MS + nowMs, underLoad);
  }

  activity(nowMs: number, times: Partial<PeerTimes> = {}): Action[] {
    return this.machine.activity(this.peer, { ...NO_TIMES, ...times }, nowMs, EPOCH_MS + nowMs);
  }

  get nextMs(): number {
    return this.machine.nextDeadlineMs(this.peer);
  }
}

/** Two devices that are each other's peer. */
export function twoSides(timing: Timing = WIREGUARD_TIMING, options: PeerOptions = {}): { a: Side; b: Side } {
  const a = new Side(1, timing);
  const b = new Side(2, timing);
  a.peer = a.machine.addPeer(b.publicKey, options);
  b.peer = b.machine.addPeer(a.publicKey, options);
  return { a, b };
}

/** All actions of one kind. */
export function only<Kind extends Action['kind']>(
  actions: readonly Action[],
  kind: Kind,
): Extract<Action, { kind: Kind }>[] {
  return actions.filter((action): action is Extract<Action, { kind: Kind }> => action.kind === kind);
}

export function kinds(actions: readonly Action[]): string[] {
  return actions.map(({ kind }) => kind);
}

/** The one message that is sent. */
export function messageIn(actions: readonly Action[]): Uint8Array {
  const sent = only(actions, 'send');
  if (sent.length !== 1) throw new Error(`expected one message, got ${sent.length} among ${kinds(actions).join(', ')}`);
  return sent[0].message;
}

/** The one reason of failure, or null when there is none. */
export function failureIn(actions: readonly Action[]): string | null {
  const failed = only(actions, 'failed');
  if (failed.length > 1) throw new Error('expected one failure at most');
  return failed[0]?.reason ?? null;
}
