/** A simulation: two hosts, a network, and traffic between them, all from one seed. */
import { CIPHER_DEFAULT, type CipherChoice } from '../../src/protocol/cipher.ts';
import { type Timing, WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { seededBytes, seededRandom } from '../protocol/support.ts';
import { EventQueue } from './event-queue.ts';
import { Facts } from './facts.ts';
import { Host } from './host.ts';
import { type Conditions, GOOD, Network } from './network.ts';

export type HostName = 'a' | 'b';

export interface WorldOptions {
  readonly timing?: Timing;
  readonly conditions?: Partial<Conditions>;
  readonly persistentKeepaliveSeconds?: number;
  /** Cipher that each end chooses; default WireGuard's. */
  readonly ciphers?: { readonly [Name in HostName]: CipherChoice };
}

const SECOND_MS = 1000;

export class World {
  readonly seed: number;
  readonly timing: Timing;
  readonly facts: Facts = new Facts();
  readonly network: Network;
  readonly random: () => number;
  readonly #queue = new EventQueue();
  readonly #hosts: { [Name in HostName]: Host };
  readonly #rates: { [Name in HostName]: number } = { a: 0, b: 0 };
  readonly #flows: { [Name in HostName]: number } = { a: 0, b: 0 };

  constructor(seed: number, options: WorldOptions = {}) {
    this.seed = seed;
    this.timing = options.timing ?? WIREGUARD_TIMING;
    this.random = seededRandom(seed);
    this.network = new Network(this.#queue, this.random);
    this.setConditions(options.conditions ?? {});
    const seconds = options.persistentKeepaliveSeconds ?? 0;
    const { a: cipherA, b: cipherB } = options.ciphers ?? { a: CIPHER_DEFAULT, b: CIPHER_DEFAULT };
    this.#hosts = { a: this.#newHost('a', seconds, cipherA), b: this.#newHost('b', seconds, cipherB) };
    const { a, b } = this.#hosts;
    a.addPeer(publicKeyOf(b), b.endpoint);
    b.addPeer(publicKeyOf(a), a.endpoint);
    // Time 0 means "never" to the protocol.
    this.run(1);
  }

  get nowMs(): number {
    return this.#queue.nowMs;
  }

  get a(): Host {
    return this.#hosts.a;
  }

  get b(): Host {
    return this.#hosts.b;
  }

  /** Datagrams that were sent so far, lost ones included. */
  get datagrams(): number {
    return this.network.datagrams;
  }

  setConditions(conditions: Partial<Conditions>): void {
    this.network.conditions = { ...GOOD, ...conditions };
  }

  /** Sets how many inner packets a second a host sends from now on, at uneven moments. */
  flow(from: HostName, packetsPerSecond: number): void {
    this.#rates[from] = packetsPerSecond;
    this.#flows[from]++;
    this.#planPacket(from, this.#flows[from]);
  }

  /** One inner packet now; its number. */
  sendPacket(from: HostName): number {
    const packet = this.facts.newPacket();
    this.#hosts[from].lane.send(packet);
    return packet;
  }

  run(seconds: number): void {
    this.#queue.runUntil(this.nowMs + seconds * SECOND_MS);
  }

  /** A host loses all but its configuration: static keys, and where it last saw the peer if it is configured so. */
  restart(name: HostName, cipher: CipherChoice = this.#hosts[name].options.cipher): void {
    const old = this.#hosts[name];
    const other = name === 'a' ? this.b : this.a;
    old.stop();
    this.facts.restarted(name);
    const host = new Host({ ...old.options, cipher }, this.#around, old.endpoint);
    host.clockOffsetMs = old.clockOffsetMs;
    host.addPeer(publicKeyOf(other), other.endpoint);
    this.#hosts[name] = host;
  }

  /** Stops all traffic and lets what is on its way arrive. */
  settle(seconds = 10): void {
    this.flow('a', 0);
    this.flow('b', 0);
    this.run(seconds);
  }

  get #around() {
    return { queue: this.#queue, network: this.network, facts: this.facts };
  }

  #newHost(name: HostName, persistentKeepaliveSeconds: number, cipher: CipherChoice): Host {
    const random = seededBytes(Math.floor(this.random() * 2 ** 31));
    return new Host(
      { name, timing: this.timing, privateKey: random(32), random, persistentKeepaliveSeconds, cipher },
      this.#around,
      null,
    );
  }

  #planPacket(from: HostName, flow: number): void {
    const rate = this.#rates[from];
    if (rate === 0) return;
    this.#queue.plan(this.nowMs + (this.random() * 2 * SECOND_MS) / rate, () => {
      if (flow !== this.#flows[from]) return;
      this.sendPacket(from);
      this.#planPacket(from, flow);
    });
  }
}

function publicKeyOf(host: Host): Uint8Array {
  return host.machine.publicKey ?? new Uint8Array(0);
}
