/**
 * WireGuard's handshake with one peer (paper, section 5.4): the Noise messages in their framing, with timestamps and
 * MACs. It yields messages to send and sessions (keys and indices); when to send, and what a session replaces, is
 * PeerMachine's business.
 *
 * One handshake is kept, as the reference implementations do: an initiation of the peer replaces ours that waits for
 * its response. When two initiations cross, both ends so drop both, and the jitter of retransmission decides.
 */
import type { HandshakeFailure } from './action.ts';
import { CIPHERS, type Cipher } from './cipher.ts';
import { KEY_LENGTH, NOISE_PROLOGUE, type Timing } from './constants.ts';
import { CookieGenerator } from './cookie.ts';
import type { IndexTable } from './index-table.ts';
import { type CookieReply, encodeInitiation, encodeResponse, type Initiation, type Response } from './messages.ts';
import {
  readInitiationPayload,
  readInitiationSecret,
  readInitiationStatic,
  readResponse,
  writeInitiation,
  writeResponse,
} from './noise.ts';
import { SymmetricState } from './symmetric-state.ts';
import { compareTimestamps, nextTimestamp } from './timestamp.ts';
import { type DhKeyPair, sharedSecret } from './x25519.ts';

const PROLOGUE = Buffer.from(NOISE_PROLOGUE);
const NOTHING = new Uint8Array(0);
/** Shared by all peers without one; never written to. */
const NO_PRESHARED_KEY = new Uint8Array(KEY_LENGTH);

/** What a handshake needs of its device. */
export interface HandshakeTools {
  readonly timing: Timing;
  readonly random: (length: number) => Uint8Array;
  /** Makes an ephemeral key pair, fresh and unpredictable. */
  readonly newKeyPair: () => DhKeyPair;
  /** Receiver indices of the device, each with its peer's id. */
  readonly indices: IndexTable<number>;
}

/** An initiation of which the static key is known and nothing proven. */
export interface OpenedInitiation {
  readonly message: Initiation;
  /** 32 bytes. */
  readonly remoteStatic: Uint8Array;
  readonly state: SymmetricState;
}

/** What a handshake yields; the index stays taken until the keypair is retired. */
export interface Session {
  readonly cipher: Cipher;
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  readonly localIndex: number;
  readonly remoteIndex: number;
}

/** The states before an initiation to a static key, by cipher. They are cloned, never changed. */
export type InitiationStates = Readonly<Record<Cipher, SymmetricState>>;

/** @param responderStatic 32 bytes */
export function initiationStates(responderStatic: Uint8Array): InitiationStates {
  const [chacha, aes] = CIPHERS.map((cipher) => SymmetricState.start(cipher, PROLOGUE, responderStatic));
  return { 'chacha20-poly1305': chacha, 'aes-256-gcm': aes };
}

/**
 * Decrypts who sent an initiation; null if it was not made for our key in one of these ciphers, which are tried in turn.
 * Nothing else tells the cipher. The public-key operation is done once for all tries.
 */
export function openInitiation(
  localStatic: DhKeyPair,
  states: InitiationStates,
  message: Initiation,
  ciphers: Iterable<Cipher>,
): OpenedInitiation | null {
  const secret = readInitiationSecret(localStatic, message.noise);
  if (secret === null) return null;
  let opened: OpenedInitiation | null = null;
  for (const cipher of ciphers) {
    const state = states[cipher].clone();
    const remoteStatic = readInitiationStatic(state, secret, message.noise);
    if (remoteStatic !== null) opened = { message, remoteStatic, state };
    if (opened !== null) break;
    state.clear();
  }
  secret.fill(0);
  return opened;
}

export class PeerHandshake {
  readonly #peer: number;
  readonly #publicKey: Uint8Array;
  readonly #tools: HandshakeTools;
  readonly #cookies: CookieGenerator;
  #presharedKey: Uint8Array = NO_PRESHARED_KEY;
  #localStatic: DhKeyPair | null = null;
  /** Secret of the two static keys; null for none, undefined while nobody has asked for it. */
  #staticStatic: Uint8Array | null | undefined = null;
  #waiting: { state: SymmetricState; ephemeral: DhKeyPair; localIndex: number } | null = null;
  #timestampSent: Uint8Array | null = null;
  #timestampReceived: Uint8Array | null = null;
  #initiationTakenMs = Number.NEGATIVE_INFINITY;

  /** @param publicKey the peer's static public key, 32 bytes; kept */
  constructor(peer: number, publicKey: Uint8Array, tools: HandshakeTools) {
    this.#peer = peer;
    this.#publicKey = publicKey;
    this.#tools = tools;
    this.#cookies = new CookieGenerator(publicKey, tools.timing);
  }

  /** Sets our static key, or takes it away. A handshake under way is dropped. */
  setLocalStatic(localStatic: DhKeyPair | null): void {
    this.clear();
    this.#staticStatic?.fill(0);
    this.#localStatic = localStatic;
    this.#staticStatic = localStatic && undefined;
  }

  /** @param key 32 bytes, copied; null for none, which is the same as zeros */
  setPresharedKey(key: Uint8Array | null): void {
    if (this.#presharedKey !== NO_PRESHARED_KEY) this.#presharedKey.fill(0);
    this.#presharedKey = key === null ? NO_PRESHARED_KEY : Uint8Array.from(key);
  }

  get hasPresharedKey(): boolean {
    return this.#presharedKey !== NO_PRESHARED_KEY;
  }

  /** 32 bytes, a copy; null for none. */
  get presharedKey(): Uint8Array | null {
    return this.hasPresharedKey ? Uint8Array.from(this.#presharedKey) : null;
  }

  /** A new initiation, 148 bytes; it replaces the one before. */
  initiate(cipher: Cipher, nowMs: number, realMs: number): Uint8Array | HandshakeFailure {
    this.clear();
    if (this.#localStatic === null) return 'no private key';
    const staticStatic = this.#staticSecret();
    if (staticStatic === null) return 'bad key exchange';
    const state = SymmetricState.start(cipher, PROLOGUE, this.#publicKey);
    const ephemeral = this.#tools.newKeyPair();
    const keys = { ephemeral, localStatic: this.#localStatic, remoteStatic: this.#publicKey, staticStatic };
    const timestamp = nextTimestamp(realMs, this.#timestampSent);
    const noise = writeInitiation(state, keys, timestamp);
    if (noise === null) {
      state.clear();
      return 'bad key exchange';
    }
    this.#timestampSent = timestamp;
    const localIndex = this.#tools.indices.take(this.#peer);
    this.#waiting = { state, ephemeral, localIndex };
    return this.#stamped(encodeInitiation(localIndex, noise), nowMs);
  }

  /**
   * Checks the peer's initiation and answers it: the response, 92 bytes, and the session that follows.
   *
   * @param isAllowed whether this peer may use the initiation's cipher; if not, it is refused as the last thing checked
   */
  respond(
    opened: OpenedInitiation,
    isAllowed: boolean,
    nowMs: number,
  ): { message: Uint8Array; session: Session } | HandshakeFailure {
    const refusal = this.#takeInitiation(opened, nowMs) ?? (isAllowed ? null : 'cipher refused');
    if (refusal !== null) {
      opened.state.clear();
      return refusal;
    }
    this.clear();
    const { message, state } = opened;
    const ephemeral = this.#tools.newKeyPair();
    const remoteEphemeral = message.noise.subarray(0, KEY_LENGTH);
    const keys = { ephemeral, remoteEphemeral, remoteStatic: this.#publicKey, presharedKey: this.#presharedKey };
    const noise = writeResponse(state, keys, NOTHING);
    if (noise === null) {
      state.clear();
      return 'bad key exchange';
    }
    const localIndex = this.#tools.indices.take(this.#peer);
    const { initiatorKey, responderKey } = state.split();
    const remoteIndex = message.sender;
    return {
      message: this.#stamped(encodeResponse(localIndex, remoteIndex, noise), nowMs),
      session: { cipher: state.cipher, sendKey: responderKey, receiveKey: initiatorKey, localIndex, remoteIndex },
    };
  }

  /** Checks the response to our initiation. A wrong one changes nothing. */
  complete(response: Response): Session | HandshakeFailure {
    const waiting = this.#waiting;
    if (waiting === null || this.#localStatic === null || waiting.localIndex !== response.receiver) {
      return 'unexpected response';
    }
    const { ephemeral, localIndex } = waiting;
    const keys = { ephemeral, localStatic: this.#localStatic, presharedKey: this.#presharedKey };
    const read = readResponse(waiting.state, keys, response.noise);
    if (read === null) return 'bad response';
    waiting.state.clear();
    this.#waiting = null;
    const { cipher } = read.state;
    const { initiatorKey, responderKey } = read.state.split();
    return { cipher, sendKey: initiatorKey, receiveKey: responderKey, localIndex, remoteIndex: response.sender };
  }

  /** Keeps the cookie of a reply to our last message, for the messages to come; null when it was taken. */
  takeCookie(reply: CookieReply, nowMs: number): HandshakeFailure | null {
    const outcome = this.#cookies.consume(reply, nowMs);
    return outcome === 'taken' ? null : outcome;
  }

  /** Forgets the initiation that waits for its response. */
  clear(): void {
    if (this.#waiting === null) return;
    this.#tools.indices.release(this.#waiting.localIndex);
    this.#waiting.state.clear();
    this.#waiting = null;
  }

  #takeInitiation(opened: OpenedInitiation, nowMs: number): HandshakeFailure | null {
    const staticStatic = this.#staticSecret();
    if (staticStatic === null) return 'bad key exchange';
    const timestamp = readInitiationPayload(opened.state, staticStatic, opened.message.noise);
    if (timestamp === null) return 'bad initiation';
    const last = this.#timestampReceived;
    if (last !== null && compareTimestamps(timestamp, last) <= 0) return 'old timestamp';
    if (nowMs - this.#initiationTakenMs <= this.#tools.timing.INITIATION_INTERVAL_MS_MIN) return 'flood';
    this.#timestampReceived = timestamp;
    this.#initiationTakenMs = nowMs;
    return null;
  }

  /** Kept from the first handshake on: thousands of peers that never speak cost nothing at start. */
  #staticSecret(): Uint8Array | null {
    if (this.#staticStatic === undefined)
      this.#staticStatic = this.#localStatic && sharedSecret(this.#localStatic.privateKey, this.#publicKey);
    return this.#staticStatic;
  }

  #stamped(message: Uint8Array, nowMs: number): Uint8Array {
    this.#cookies.stamp(message, nowMs);
    return message;
  }
}
