/** What became of each inner packet, and what the hosts of a simulation did. */
import { MESSAGE_COOKIE_REPLY, MESSAGE_INITIATION } from '../../src/protocol/constants.ts';

/** Stands for an inner packet number in a keepalive. */
export const KEEPALIVE = -1;

/** Why a datagram that the network brought was not taken. */
export type Refusal = 'retired keypair' | 'foreign keypair' | 'expired keypair' | 'too old' | 'bad key' | 'duplicate';

interface Packet {
  /** How often the network brought it to the other end. */
  brought: number;
  /** How often it came out of the tunnel. */
  delivered: number;
  refusal: Refusal | null;
}

export class Facts {
  readonly packets: Packet[] = [];
  /** Packets that were pushed out of the staging queue, or given up with the handshake. */
  stagedDrops = 0;
  /** Moments of the initiations and responses that each host sent: [when, whether it was an initiation]. */
  readonly #handshakeMessages = new Map<string, [number, boolean][]>();
  readonly #keepalives = new Map<string, number[]>();
  readonly #failures = new Map<string, number>();
  readonly #keypairs = new Map<string, string>();
  readonly #owedSinceMs = new Map<string, number>();
  /** Handshakes of which both ends have the keypair. */
  handshakes = 0;
  /** Initiations of both ends that met, or came close to it. */
  crossings = 0;
  /** Longest time that received data waited for anything to go back. */
  longestDebtMs = 0;

  newPacket(): number {
    this.packets.push({ brought: 0, delivered: 0, refusal: null });
    return this.packets.length - 1;
  }

  sealed(host: string, packet: number, nowMs: number): void {
    if (packet === KEEPALIVE) listOf(this.#keepalives, host).push(nowMs);
    this.#paid(host, nowMs);
  }

  /** A data message was accepted. */
  received(host: string, nowMs: number): void {
    if (!this.#owedSinceMs.has(host)) this.#owedSinceMs.set(host, nowMs);
  }

  brought(packet: number): void {
    if (packet !== KEEPALIVE) this.packets[packet].brought++;
  }

  delivered(packet: number): void {
    this.packets[packet].delivered++;
  }

  refused(packet: number, refusal: Refusal): void {
    if (packet !== KEEPALIVE) this.packets[packet].refusal = refusal;
  }

  handshakeMessageSent(host: string, message: Uint8Array, nowMs: number): void {
    if (message[0] === MESSAGE_COOKIE_REPLY) return;
    listOf(this.#handshakeMessages, host).push([nowMs, message[0] === MESSAGE_INITIATION]);
    this.#paid(host, nowMs);
  }

  /** A restarted host knows nothing of the messages that it sent before. */
  restarted(host: string): void {
    listOf(this.#handshakeMessages, host).push([Number.NEGATIVE_INFINITY, false]);
  }

  handshakeFailed(reason: string): void {
    this.#failures.set(reason, this.failures(reason) + 1);
  }

  /** A host has a new keypair: the other end must have its mirror image, or will never have any. */
  keypairMade(
    host: string,
    keypair: { sendKey: string; receiveKey: string; localIndex: number; remoteIndex: number },
  ): void {
    const { sendKey, receiveKey, localIndex, remoteIndex } = keypair;
    const mirror = this.#keypairs.get(`${remoteIndex} ${localIndex}`);
    if (mirror !== undefined && mirror !== `${receiveKey} ${sendKey}`) throw new Error(`${host} derived other keys`);
    if (mirror !== undefined) this.handshakes++;
    this.#keypairs.set(`${localIndex} ${remoteIndex}`, `${sendKey} ${receiveKey}`);
  }

  #paid(host: string, nowMs: number): void {
    const sinceMs = this.#owedSinceMs.get(host) ?? nowMs;
    this.longestDebtMs = Math.max(this.longestDebtMs, nowMs - sinceMs);
    this.#owedSinceMs.delete(host);
  }

  failures(reason: string): number {
    return this.#failures.get(reason) ?? 0;
  }

  keepalivesOf(host: string): number[] {
    return listOf(this.#keepalives, host);
  }

  /** Moments of the initiations that a host sent. */
  initiationsOf(host: string): number[] {
    return listOf(this.#handshakeMessages, host)
      .filter(([, isInitiation]) => isInitiation)
      .map(([atMs]) => atMs);
  }

  /** Packets that the network brought to the other end, once at least. */
  get broughtPackets(): number {
    return this.packets.filter(({ brought }) => brought > 0).length;
  }

  get deliveredTwice(): number {
    return this.packets.filter(({ delivered }) => delivered > 1).length;
  }

  /** Packets that came out of the tunnel. */
  get deliveredPackets(): number {
    return this.packets.filter(({ delivered }) => delivered > 0).length;
  }

  /** Packets that the network brought at least once and that never came out of the tunnel, counted by reason. */
  get lostInTunnel(): Partial<Record<Refusal, number>> {
    const lost: Partial<Record<Refusal, number>> = {};
    for (const { delivered, refusal } of this.packets) {
      if (delivered === 0 && refusal !== null) lost[refusal] = (lost[refusal] ?? 0) + 1;
    }
    return lost;
  }

  /** The shortest time from a handshake message of a host to an initiation that it sent after it; Infinity for none. */
  shortestPauseMs(host: string): number {
    const messages = listOf(this.#handshakeMessages, host);
    const pauses = messages
      .slice(1)
      .flatMap(([atMs, isInitiation], place) => (isInitiation ? [atMs - messages[place][0]] : []));
    return Math.min(Number.POSITIVE_INFINITY, ...pauses);
  }
}

function listOf<T>(lists: Map<string, T[]>, name: string): T[] {
  const list = lists.get(name) ?? [];
  lists.set(name, list);
  return list;
}
