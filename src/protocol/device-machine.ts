/**
 * The WireGuard protocol of one device, pure: handshake messages and the passing of time go in, actions come out. It
 * has no socket, no clock and no random source; `nowMs` is monotonic, `realMs` counts from the epoch.
 *
 * Transport messages do not come by here. The driver (the control lane, or a simulation) tells what they mean for the
 * handshake: `wantHandshake` when data waits for a keypair or the keypair has to be renewed, `confirmed` when the first
 * message came on a next keypair, and `activity` with the peer's times. After each call that concerns a peer, its
 * `nextDeadlineMs` says when `activity` must be called; while packets flow, also every KEEPALIVE_TIMEOUT.
 *
 * Handshake messages are checked from cheap to dear: form, mac1, under load mac2 and the rate of the source, and only
 * then public-key operations.
 */
import type { Endpoint } from '../packet/endpoint.ts';
import type { Action, HandshakeFailure } from './action.ts';
import { CIPHER_DEFAULT, CIPHERS, type Cipher, CipherCensus, type CipherChoice } from './cipher.ts';
import { KEY_LENGTH, MESSAGE_COOKIE_REPLY, MESSAGE_INITIATION, PEERS_MAX, type Timing } from './constants.ts';
import { CookieChecker } from './cookie.ts';
import { type InitiationStates, initiationStates, openInitiation } from './handshake.ts';
import { DenseIds, IndexTable, type IndexWatcher } from './index-table.ts';
import { hasValidMac1, mac1Key } from './mac.ts';
import { type CookieReply, decodeHandshake, type Initiation, type Response } from './messages.ts';
import { PeerMachine, type PeerStatus, type PeerTools } from './peer-machine.ts';
import { RateLimiter } from './rate-limiter.ts';
import type { PeerTimes } from './timers.ts';
import { type DhKeyPair, exportPrivateKey, importKeyPair } from './x25519.ts';

export type { PeerStatus } from './peer-machine.ts';

export interface DeviceMachineOptions {
  /** 32 bytes, or null for none yet. Copied. */
  readonly privateKey: Uint8Array | null;
  readonly timing: Timing;
  /** Returns that many random bytes, fresh and unpredictable; the machine may overwrite them. */
  readonly random: (length: number) => Uint8Array;
  /** Makes an ephemeral key pair; of 32 bytes of `random` if left out. */
  readonly newKeyPair?: () => DhKeyPair;
  /** Hears which receiver indices are in use. */
  readonly indexWatcher?: IndexWatcher;
  /** Peers that may exist at once; PEERS_MAX if left out. */
  readonly peersMax?: number;
  /** Whether AES-256-GCM is fast on this machine, so that the choice `auto` offers it. Default false. */
  readonly prefersAes?: boolean;
}

export interface PeerOptions {
  /** 32 bytes, or null for none. Copied. */
  readonly presharedKey?: Uint8Array | null;
  /** 0 for off, at most 65,535. When on, `nextDeadlineMs` is at once in the past: a first keepalive is due. */
  readonly persistentKeepaliveSeconds?: number;
  /** Default CIPHER_DEFAULT. */
  readonly cipher?: CipherChoice;
}

/** Our static key and what follows from it. */
interface Identity {
  readonly keyPair: DhKeyPair;
  readonly mac1Key: Uint8Array;
  readonly initiationStates: InitiationStates;
  readonly cookies: CookieChecker;
}

/** An initiation in a cipher that nobody here may use is opened at most this often, only to say so in its peer's status. */
const FOREIGN_CIPHER_INTERVAL_MS = 1_000;

export class DeviceMachine {
  readonly #timing: Timing;
  readonly #random: (length: number) => Uint8Array;
  readonly #peersMax: number;
  readonly #peerIds = new DenseIds();
  readonly #peers = new Map<number, PeerMachine>();
  /** By static public key, in hexadecimal. */
  readonly #peersByKey = new Map<string, PeerMachine>();
  readonly #tools: PeerTools;
  readonly #limiter = new RateLimiter();
  readonly #ciphers = new CipherCensus();
  #foreignCipherTriedMs = Number.NEGATIVE_INFINITY;
  #identity: Identity | null;
  /** Epoch time less monotonic time, as last told. */
  #realOffsetMs = 0;

  /** @throws RangeError for a private key that is not 32 bytes long */
  constructor(options: DeviceMachineOptions) {
    this.#timing = options.timing;
    this.#random = options.random;
    this.#peersMax = options.peersMax ?? PEERS_MAX;
    const indices = new IndexTable<number>(options.random, options.indexWatcher);
    const { timing, random, newKeyPair = () => keyPairOf(random), prefersAes = false } = options;
    this.#tools = { timing, random, newKeyPair, indices, keypairIds: new DenseIds(), prefersAes };
    this.#identity = this.#identityOf(options.privateKey);
  }

  /** Our static public key (32 bytes, a copy), or null. */
  get publicKey(): Uint8Array | null {
    return this.#identity && Uint8Array.from(this.#identity.keyPair.publicKey);
  }

  /** Our static private key, clamped (RFC 7748): 32 bytes, which the caller zeroes, or null. */
  get privateKey(): Uint8Array | null {
    return this.#identity && exportPrivateKey(this.#identity.keyPair.privateKey);
  }

  /**
   * Changes our static key: all keypairs are retired, for they speak for the old one, and handshakes under way start anew.
   *
   * @param key 32 bytes, copied; null for none
   * @throws RangeError for a key of another length
   */
  setPrivateKey(key: Uint8Array | null, nowMs: number): Action[] {
    this.#identity = this.#identityOf(key);
    const keyPair = this.#identity?.keyPair ?? null;
    return [...this.#peers.values()].flatMap((peer) => peer.changeLocalStatic(keyPair, nowMs));
  }

  /** Zeroes all keys: nothing can be said any more. */
  close(): void {
    for (const id of [...this.#peers.keys()]) this.removePeer(id, 0);
    this.#identity = null;
  }

  /**
   * Adds a peer.
   *
   * @param publicKey 32 bytes, copied
   * @returns its id: small and dense, used again after `releasePeerId`
   * @throws RangeError when there are too many, it is there already, or a length is wrong
   */
  addPeer(publicKey: Uint8Array, options: PeerOptions = {}): number {
    checkKey(publicKey);
    const name = nameOf(publicKey);
    if (this.#peersByKey.has(name)) throw new RangeError('expected a new peer, got a public key that has one');
    if (this.#peers.size >= this.#peersMax) throw new RangeError(`expected at most ${this.#peersMax} peers`);
    const peer = new PeerMachine(this.#peerIds.take(), Uint8Array.from(publicKey), this.#tools);
    peer.setLocalStatic(this.#identity?.keyPair ?? null);
    this.#peers.set(peer.id, peer);
    this.#peersByKey.set(name, peer);
    this.setPresharedKey(peer.id, options.presharedKey ?? null);
    peer.setPersistentKeepalive(options.persistentKeepaliveSeconds ?? 0);
    const cipher = options.cipher ?? CIPHER_DEFAULT;
    peer.setCipherChoice(cipher);
    this.#ciphers.add(cipher);
    return peer.id;
  }

  /** The id of the peer with this static public key (32 bytes), if there is one. */
  peerId(publicKey: Uint8Array): number | undefined {
    return this.#peersByKey.get(nameOf(publicKey))?.id;
  }

  /** Removes a peer; its keypairs are retired. Its id stays taken until `releasePeerId`, for who drives may still hear of it. */
  removePeer(id: number, _nowMs: number): Action[] {
    const peer = this.#peer(id);
    const actions = peer.setLocalStatic(null);
    peer.setPresharedKey(null);
    this.#ciphers.remove(peer.cipherChoice);
    this.#peers.delete(id);
    this.#peersByKey.delete(nameOf(peer.publicKey));
    return actions;
  }

  /** Nobody speaks of this removed peer any more: its id may be another's. */
  releasePeerId(id: number): void {
    if (this.#peers.has(id)) throw new RangeError(`expected the id of a removed peer, got ${id}`);
    this.#peerIds.release(id);
  }

  /** The link is down: a peer's keypairs are retired, its handshake is dropped, and nothing is due but keepalives. */
  stopPeer(id: number): Action[] {
    return this.#peer(id).stop();
  }

  /** The link is up again: a persistent keepalive is due at once. */
  startPeer(id: number): void {
    this.#peer(id).start();
  }

  hasPresharedKey(id: number): boolean {
    return this.#peer(id).hasPresharedKey;
  }

  /** A peer's preshared key: 32 bytes, a copy, which the caller zeroes; null for none. */
  presharedKey(id: number): Uint8Array | null {
    return this.#peer(id).presharedKey;
  }

  /** @param key 32 bytes, copied; null for none. Counts from the next handshake on */
  setPresharedKey(id: number, key: Uint8Array | null): void {
    if (key !== null) checkKey(key);
    this.#peer(id).setPresharedKey(key);
  }

  /** Chooses the ciphers of a peer, and forgets what was learned of those that it takes. Counts from the next handshake on. */
  setCipher(id: number, choice: CipherChoice): void {
    const peer = this.#peer(id);
    this.#ciphers.remove(peer.cipherChoice);
    this.#ciphers.add(choice);
    peer.setCipherChoice(choice);
  }

  /** Sets the persistent keepalive, 0 for off. Switched on, one is due at once: see `nextDeadlineMs`. */
  setPersistentKeepalive(id: number, seconds: number, _nowMs: number): Action[] {
    this.#peer(id).setPersistentKeepalive(seconds);
    return [];
  }

  /**
   * Takes in a handshake message: initiation, response or cookie reply, whatever its bytes.
   *
   * @param message UDP payload; not kept
   * @param source where it came from, and the local address it came to; kept in actions
   * @param underLoad whether messages must bear a cookie of ours (mac2); for drivers without lanes, which see to that before
   */
  receiveHandshake(message: Uint8Array, source: Endpoint, nowMs: number, realMs: number, underLoad = false): Action[] {
    this.#realOffsetMs = realMs - nowMs;
    const decoded = decodeHandshake(message);
    if (decoded === null) return refuse('bad message');
    if (decoded.type === MESSAGE_COOKIE_REPLY) return this.#receiveCookieReply(decoded, nowMs);
    const identity = this.#identity;
    if (identity === null) return refuse('no private key');
    if (!hasValidMac1(message, identity.mac1Key)) return refuse('bad mac1');
    const refused = underLoad ? this.#checkSource(identity, decoded, source, nowMs) : [];
    if (refused.length > 0) return refused;
    if (decoded.type === MESSAGE_INITIATION) return this.#receiveInitiation(identity, decoded, source, nowMs);
    const peer = this.#peerOf(decoded.receiver);
    return peer?.receiveResponse(decoded, source, nowMs, realMs) ?? refuse('unexpected response');
  }

  /** Data waits for a keypair, or the keypair has to be renewed. May be said as often as it is true. */
  wantHandshake(id: number, nowMs: number, realMs: number): Action[] {
    this.#realOffsetMs = realMs - nowMs;
    return this.#peer(id).wantHandshake(nowMs, realMs);
  }

  /** The first authentic message came on a keypair. Without effect if it is not the next one (any more). */
  confirmed(id: number, keypairId: number, nowMs: number): Action[] {
    return this.#peer(id).confirmed(keypairId, nowMs, nowMs + this.#realOffsetMs);
  }

  /** Looks what time has made due for a peer. */
  activity(id: number, times: PeerTimes, nowMs: number, realMs: number): Action[] {
    this.#realOffsetMs = realMs - nowMs;
    return this.#peer(id).activity(times, nowMs, realMs);
  }

  /** When `activity` must be called for a peer at the latest, as far as is known; Infinity when idle, 0 for at once. */
  nextDeadlineMs(id: number): number {
    return this.#peer(id).nextDeadlineMs;
  }

  /** A peer's static public key, 32 bytes; a copy. */
  peerPublicKey(id: number): Uint8Array {
    return Uint8Array.from(this.#peer(id).publicKey);
  }

  status(id: number): PeerStatus {
    return this.#peer(id).status;
  }

  #receiveInitiation(identity: Identity, message: Initiation, source: Endpoint, nowMs: number): Action[] {
    const ciphers = this.#ciphersToTry(nowMs);
    const opened = openInitiation(identity.keyPair, identity.initiationStates, message, ciphers);
    if (opened === null) return refuse('bad initiation');
    const peer = this.#peersByKey.get(nameOf(opened.remoteStatic));
    if (peer !== undefined) return peer.receiveInitiation(opened, source, nowMs);
    opened.state.clear();
    return refuse('unknown peer');
  }

  /** Those that some peer may use, WireGuard's first; then, now and then, the others. */
  *#ciphersToTry(nowMs: number): Generator<Cipher, void> {
    yield* CIPHERS.filter((cipher) => this.#ciphers.has(cipher));
    if (nowMs - this.#foreignCipherTriedMs < FOREIGN_CIPHER_INTERVAL_MS) return;
    this.#foreignCipherTriedMs = nowMs;
    yield* CIPHERS.filter((cipher) => !this.#ciphers.has(cipher));
  }

  #receiveCookieReply(reply: CookieReply, nowMs: number): Action[] {
    return this.#peerOf(reply.receiver)?.receiveCookieReply(reply, nowMs) ?? refuse('unexpected cookie');
  }

  /** Under load: nothing if the message may be worked on, else what to do instead. */
  #checkSource(identity: Identity, message: Initiation | Response, source: Endpoint, nowMs: number): Action[] {
    if (!identity.cookies.hasValidMac2(message.bytes, source, nowMs)) {
      const reply = identity.cookies.reply(message.bytes, message.sender, source, nowMs);
      return [{ kind: 'send', peer: null, message: reply, to: source, forgetSource: false }, ...refuse('bad mac2')];
    }
    return this.#limiter.allow(source, nowMs) ? [] : refuse('rate limit');
  }

  #identityOf(privateKey: Uint8Array | null): Identity | null {
    if (privateKey === null) return null;
    const keyPair = importKeyPair(privateKey);
    const cookies = new CookieChecker(keyPair.publicKey, this.#timing, this.#random);
    const { publicKey } = keyPair;
    return { keyPair, mac1Key: mac1Key(publicKey), initiationStates: initiationStates(publicKey), cookies };
  }

  #peerOf(index: number): PeerMachine | undefined {
    const id = this.#tools.indices.find(index);
    return id === undefined ? undefined : this.#peers.get(id);
  }

  #peer(id: number): PeerMachine {
    const peer = this.#peers.get(id);
    if (peer === undefined) throw new RangeError(`expected the id of a peer, got ${id}`);
    return peer;
  }
}

function keyPairOf(random: (length: number) => Uint8Array): DhKeyPair {
  const bytes = random(KEY_LENGTH);
  const keyPair = importKeyPair(bytes);
  bytes.fill(0);
  return keyPair;
}

function refuse(reason: HandshakeFailure): Action[] {
  return [{ kind: 'failed', peer: null, reason }];
}

function nameOf(publicKey: Uint8Array): string {
  return Buffer.from(publicKey).toString('hex');
}

function checkKey(key: Uint8Array): void {
  if (key.length !== KEY_LENGTH) throw new RangeError(`expected a key of ${KEY_LENGTH} bytes, got ${key.length}`);
}
