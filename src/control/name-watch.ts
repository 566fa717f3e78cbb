/**
 * Names of endpoints while a tunnel runs. Each initiation that nobody answers is told here, before it is sent again: it
 * then goes to the name's next address, IPv6 and IPv4 in turn, and the name is looked up again, beside everything else. As long as a peer is heard nothing moves it: where it has roamed to is where it is.
 *
 * Times are arguments, and the look-up is given. Look-ups are bounded: one per name at a time, each wait of a name twice
 * the last until one of its peers is heard again, few at once and few a second however many peers fall silent.
 */
import type { NamedEndpoint, NumericEndpoint } from './config-types.ts';
import { formatKey } from './key-text.ts';
import type { Logger } from './log.ts';
import type { LookUp } from './resolve.ts';
import { messageOf } from './system-error.ts';

/** An initiation of ours that nobody answered in time, told before it is sent again. */
export interface Unanswered {
  /** 32 bytes, of the peer. */
  readonly publicKey: Uint8Array;
  /** Where the initiations go, or null for nowhere. */
  readonly endpoint: NumericEndpoint | null;
  /** Since anything authentic was heard of the peer, milliseconds; Infinity for never. */
  readonly silentMs: number;
}

export interface NameWatchTools {
  readonly lookup: LookUp;
  /** Sets a peer's endpoint, for the next initiation and on. */
  readonly move: (publicKey: Uint8Array, endpoint: NumericEndpoint) => void;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  readonly log: Logger;
}

/** A peer heard within this time is not silent: only its answers are lost. */
const HEARD_MS = 12_000;
/** Initiations are sent again each five seconds; after a longer pause it is another silence. */
const PAUSE_MS = 15_000;
/** A peer that was there before gets so many initiations where it was, unless its name has other addresses by now. */
const PATIENCE = 2;
const WAIT_FIRST_MS = 10_000;
const WAIT_MAX_MS = 300_000;
/** The resolver has few threads, which others need, too. */
const LOOKUPS_AT_ONCE = 2;
const LOOKUP_GAP_MS = 50;

interface Name {
  addresses: readonly string[];
  isLookedUp: boolean;
  dueMs: number;
  waitMs: number;
  askedMs: number;
  peersCount: number;
}

interface NamedPeer {
  readonly endpoint: NamedEndpoint;
  /** Which of the name's addresses it was given last. */
  given: string;
  /** Of this silence. */
  tries: number;
  lastMs: number;
  /** Where it had roamed to when the silence began; tried in turn with the name's addresses. */
  roamed: NumericEndpoint | null;
}

export class NameWatch {
  readonly #tools: NameWatchTools;
  /** By public key, base64. */
  readonly #peers: Map<string, NamedPeer> = new Map();
  readonly #names: Map<string, Name> = new Map();
  #lookupsCount = 0;
  #lookupMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(tools: NameWatchTools) {
    this.#tools = tools;
  }

  /** Names watched. */
  get size(): number {
    return this.#names.size;
  }

  /**
   * Watches over a peer whose endpoint is a name.
   *
   * @param key public key in base64
   * @param addresses of the name, the one in use first
   */
  watch(key: string, endpoint: NamedEndpoint, addresses: readonly string[]): void {
    this.forget(key);
    const name = this.#names.get(endpoint.host) ?? newName();
    name.addresses = addresses;
    name.peersCount++;
    this.#names.set(endpoint.host, name);
    const lastMs = Number.NEGATIVE_INFINITY;
    this.#peers.set(key, { endpoint, given: addresses[0] ?? '', tries: 0, lastMs, roamed: null });
  }

  /** Leaves a peer alone from now on; one that is not watched is fine. */
  forget(key: string): void {
    const peer = this.#peers.get(key);
    if (peer === undefined) return;
    this.#peers.delete(key);
    const { host } = peer.endpoint;
    const name = this.#names.get(host);
    if (name !== undefined && --name.peersCount === 0) this.#names.delete(host);
  }

  /** Look-ups under way move nobody any more. */
  close(): void {
    this.#isClosed = true;
    this.#peers.clear();
    this.#names.clear();
  }

  /** Takes note of an initiation that was not answered, and moves the peer, if it is to be moved, before this returns. */
  unanswered({ publicKey, endpoint, silentMs }: Unanswered): void {
    const peer = this.#peers.get(formatKey(publicKey));
    const name = peer === undefined ? undefined : this.#names.get(peer.endpoint.host);
    if (peer === undefined || name === undefined || silentMs < HEARD_MS) return;
    this.#countTry(peer, name, endpoint, silentMs);
    this.#lookUpAgain(peer.endpoint.host, name);
    const next = nextCandidate(peer, name, endpoint, Number.isFinite(silentMs) ? PATIENCE : 0);
    if (next === null) return;
    this.#tools.log.debug('trying another address', { host: peer.endpoint.host, address: next.address });
    try {
      peer.given = next.address;
      this.#tools.move(publicKey, next);
    } catch (error) {
      // An address with the zone of an interface that is gone; the next one has its turn.
      this.#tools.log.debug('address not taken', { error: messageOf(error) });
    }
  }

  #countTry(peer: NamedPeer, name: Name, endpoint: NumericEndpoint | null, silentMs: number): void {
    const now = this.#tools.nowMs();
    if (now - peer.lastMs > PAUSE_MS) {
      peer.tries = 0;
      const { port } = peer.endpoint;
      const isKnown = [peer.given, ...name.addresses].some((address) => isSame(endpoint, { address, port }));
      peer.roamed = isKnown ? null : endpoint;
    }
    peer.tries++;
    peer.lastMs = now;
    // Heard since the last look-up: this is a new silence, not the old one.
    if (now - silentMs > name.askedMs) name.waitMs = WAIT_FIRST_MS;
  }

  #lookUpAgain(host: string, name: Name): void {
    const now = this.#tools.nowMs();
    const isFree = this.#lookupsCount < LOOKUPS_AT_ONCE && now - this.#lookupMs >= LOOKUP_GAP_MS;
    if (name.isLookedUp || now < name.dueMs || !isFree) return;
    name.isLookedUp = true;
    name.askedMs = now;
    name.dueMs = now + name.waitMs;
    name.waitMs = Math.min(WAIT_MAX_MS, name.waitMs * 2);
    this.#lookupsCount++;
    this.#lookupMs = now;
    void this.#lookUp(host, name);
  }

  /** What it finds counts from the next initiation on; a failure leaves the addresses as they are. */
  async #lookUp(host: string, name: Name): Promise<void> {
    const { lookup, log } = this.#tools;
    try {
      const addresses = await lookup(host);
      if (this.#isClosed || addresses.length === 0) return;
      if (addresses.join() !== name.addresses.join())
        log.info('name has other addresses', { host, address: addresses[0] ?? '' });
      name.addresses = addresses;
    } catch (error) {
      log.debug('name could not be looked up', { host, error: messageOf(error) });
    } finally {
      name.isLookedUp = false;
      this.#lookupsCount--;
    }
  }
}

/** The one behind the present one, or the first when the present one is none of them; null: it stays where it is. */
function nextCandidate(
  peer: NamedPeer,
  { addresses }: Name,
  endpoint: NumericEndpoint | null,
  patience: number,
): NumericEndpoint | null {
  const named = addresses.map((address) => ({ address, port: peer.endpoint.port }));
  const candidates = peer.roamed === null ? named : [...named, peer.roamed];
  const at = candidates.findIndex((candidate) => isSame(candidate, endpoint));
  if (at !== -1 && peer.tries <= patience) return null;
  const next = candidates[(at + 1) % candidates.length] ?? null;
  return isSame(next, endpoint) ? null : next;
}

function newName(): Name {
  const [waitMs, askedMs, dueMs] = [WAIT_FIRST_MS, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  return { addresses: [], isLookedUp: false, dueMs, waitMs, askedMs, peersCount: 0 };
}

function isSame(left: NumericEndpoint | null, right: NumericEndpoint | null): boolean {
  return left !== null && left.address === right?.address && left.port === right.port;
}
