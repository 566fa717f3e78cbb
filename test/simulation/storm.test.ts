/**
 * A storm: a thousand peers start a handshake in the same millisecond, at a device that needs a millisecond for each message
 * and lets a bounded number wait, as the control lane does. In simulated time: all settle, nobody starves.
 */
import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { DeviceMachine } from '../../src/protocol/device-machine.ts';
import { generateKeyPair } from '../../src/protocol/x25519.ts';
import { NO_TIMES, only, seededBytes } from '../protocol/support.ts';

const PEERS = 1_000;
const EPOCH_MS = 1_700_000_000_000;

interface StormOptions {
  /** Simulated time that the device takes for a message, ms. */
  readonly costMs: number;
  /** Messages that may wait; more are dropped. */
  readonly queueMax: number;
  /** This many waiting mean load, for a second. */
  readonly loadAt: number;
}

interface Peer {
  readonly machine: DeviceMachine;
  readonly id: number;
  readonly endpoint: Endpoint;
  settledMs: number;
}

class Storm {
  readonly device: DeviceMachine;
  readonly peers: Peer[];
  readonly #options: StormOptions;
  readonly #queue: { message: Uint8Array; from: Peer }[] = [];
  #nowMs = 1_000;
  #loadUntilMs = 0;
  cookies = 0;
  dropped = 0;

  constructor(options: StormOptions) {
    this.#options = options;
    const random = seededBytes(11);
    const shared = { timing: WIREGUARD_TIMING, random, newKeyPair: generateKeyPair };
    this.device = new DeviceMachine({ privateKey: random(32), ...shared });
    const publicKey = this.device.publicKey ?? new Uint8Array(0);
    this.peers = Array.from({ length: PEERS }, (_, at) => {
      const machine = new DeviceMachine({ privateKey: random(32), ...shared });
      this.device.addPeer(machine.publicKey ?? new Uint8Array(0));
      return { machine, id: machine.addPeer(publicKey), endpoint: endpointOf(at), settledMs: 0 };
    });
  }

  /** Until all have a keypair, or the time is over. Returns the milliseconds that passed. */
  run(secondsMax: number): number {
    for (const peer of this.peers) this.#send(peer, peer.machine.wantHandshake(peer.id, this.#nowMs, this.#realMs));
    const startedMs = this.#nowMs;
    while (this.peers.some(({ settledMs }) => settledMs === 0) && this.#nowMs - startedMs < secondsMax * 1_000) {
      this.#nowMs += this.#options.costMs;
      this.#work();
      for (const peer of this.peers) this.#look(peer);
    }
    return this.#nowMs - startedMs;
  }

  get #realMs(): number {
    return EPOCH_MS + this.#nowMs;
  }

  #work(): void {
    const next = this.#queue.shift();
    if (next === undefined) return;
    if (this.#queue.length + 1 >= this.#options.loadAt) this.#loadUntilMs = this.#nowMs + 1_000;
    const underLoad = this.#nowMs < this.#loadUntilMs;
    const { endpoint, machine } = next.from;
    const actions = this.device.receiveHandshake(next.message, endpoint, this.#nowMs, this.#realMs, underLoad);
    for (const { message } of only(actions, 'send')) {
      if (message[0] === 3) this.cookies += 1;
      const answers = machine.receiveHandshake(message, endpointOf(0xffff), this.#nowMs, this.#realMs);
      if (only(answers, 'install').length > 0) next.from.settledMs = this.#nowMs;
    }
  }

  #look(peer: Peer): void {
    if (peer.settledMs > 0 || this.#nowMs < peer.machine.nextDeadlineMs(peer.id)) return;
    this.#send(peer, peer.machine.activity(peer.id, NO_TIMES, this.#nowMs, this.#realMs));
  }

  #send(from: Peer, actions: ReturnType<DeviceMachine['activity']>): void {
    for (const { message } of only(actions, 'send')) {
      if (this.#queue.length < this.#options.queueMax) this.#queue.push({ message, from });
      else this.dropped += 1;
    }
  }
}

function endpointOf(peer: number): Endpoint {
  const address = Uint8Array.of(10, 98, peer >>> 8, peer & 0xff);
  return { family: 4, address, port: 51_820, scope: 0, localAddress: null, localInterface: 0 };
}

describe('a storm of a thousand peers', () => {
  it('settles within its own work where the queue holds them all', () => {
    const storm = new Storm({ costMs: 1, queueMax: 4_096, loadAt: 2_048 });
    expect(storm.run(10)).toBeLessThanOrEqual(PEERS + 1);
    expect([storm.cookies, storm.dropped]).toEqual([0, 0]);
    expect(storm.peers.filter(({ settledMs }) => settledMs === 0)).toEqual([]);
  });

  it('starves nobody where it means load: a peer that shows its cookie gets through', () => {
    const storm = new Storm({ costMs: 1, queueMax: 4_096, loadAt: 256 });
    expect(storm.run(30)).toBeLessThan(12_000);
    expect(storm.cookies).toBeGreaterThan(PEERS / 2);
    expect(storm.peers.filter(({ settledMs }) => settledMs === 0)).toEqual([]);
  });

  it('starves nobody where most messages find no room', () => {
    const storm = new Storm({ costMs: 2, queueMax: 300, loadAt: 150 });
    expect(storm.run(80)).toBeLessThan(60_000);
    expect(storm.dropped).toBeGreaterThan(0);
    expect(storm.peers.filter(({ settledMs }) => settledMs === 0)).toEqual([]);
  });
});
