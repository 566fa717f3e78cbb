/**
 * Names of endpoints while a tunnel runs. Each initiation asks here where it may go: to where the peer is, and, if the peer
 * was never heard or has fallen silent, side by side to the name's addresses of both families. Then the name is looked up
 * again, beside everything else, and what it has become is where the initiation goes next. Nothing here moves a peer: its
 * first authentic answer does.
 *
 * Times are arguments, and the look-up is given. Look-ups are bounded: one per name at a time, each wait of a name twice
 * the last until one of its peers is heard again, few at once and few a second however many peers fall silent.
 */
import { COPIES_MAX } from '../protocol/side-by-side.ts';
import type { NamedEndpoint, NumericEndpoint } from './config-types.ts';
import { formatKey, parseKey } from './key-text.ts';
import type { Logger } from './log.ts';
import { alternateFamilies, type LookUp } from './resolve.ts';
import { messageOf } from './system-error.ts';

/** An initiation of ours that is about to leave. */
export interface OutgoingInitiation {
  /** 32 bytes, of the peer. */
  readonly publicKey: Uint8Array;
  /** Where the peer is as far as is known, or null. */
  readonly endpoint: NumericEndpoint | null;
  /** Since anything authentic was heard of the peer, milliseconds; Infinity for never. */
  readonly silentMs: number;
  /** Whether nobody answered the last one in time, or the data that made us ask whether the peer is there. */
  readonly isRetry: boolean;
}

export interface NameWatchTools {
  readonly lookup: LookUp;
  /** Sends the initiation that is under way to a peer, if one is, to these endpoints, too. */
  readonly alsoTry: (publicKey: Uint8Array, endpoints: readonly NumericEndpoint[]) => void;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  readonly log: Logger;
}

/** A peer heard within this time is not silent: only its answers are lost. */
const HEARD_MS = 12_000;
/** Initiations are sent again each five seconds; after a longer pause it is another silence. */
const PAUSE_MS = 15_000;
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
  /** Initiations of this silence that a try at all addresses was made with. */
  tries: number;
  lastMs: number;
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
    this.#peers.set(key, { endpoint, tries: 0, lastMs: Number.NEGATIVE_INFINITY });
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

  /** Look-ups under way change nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#peers.clear();
    this.#names.clear();
  }

  /**
   * Where an initiation may go, the peer's present endpoint first, then the name's addresses in both families; of many
   * addresses others each time. Null for a peer that is not watched, or that is not silent.
   */
  candidates({ publicKey, endpoint, silentMs, isRetry }: OutgoingInitiation): readonly NumericEndpoint[] | null {
    const peer = this.#peers.get(formatKey(publicKey));
    const name = peer === undefined ? undefined : this.#names.get(peer.endpoint.host);
    const isSilent = isRetry ? silentMs >= HEARD_MS : silentMs === Number.POSITIVE_INFINITY;
    if (peer === undefined || name === undefined || !isSilent) return null;
    this.#countTry(peer, name, silentMs);
    if (isRetry) this.#lookUpAgain(peer.endpoint.host, name);
    return candidatesOf(peer, name, endpoint);
  }

  #countTry(peer: NamedPeer, name: Name, silentMs: number): void {
    const now = this.#tools.nowMs();
    if (now - peer.lastMs > PAUSE_MS) peer.tries = 0;
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

  /** What is new counts for the initiations that nobody has answered yet; a failure leaves the addresses as they are. */
  async #lookUp(host: string, name: Name): Promise<void> {
    const { lookup, log } = this.#tools;
    try {
      const addresses = await lookup(host);
      if (this.#isClosed || addresses.length === 0) return;
      const isNew = addresses.join() !== name.addresses.join();
      name.addresses = addresses;
      if (!isNew) return;
      log.info('name has other addresses', { host, address: addresses[0] ?? '' });
      this.#tellSilent(host, addresses);
    } catch (error) {
      log.debug('name could not be looked up', { host, error: messageOf(error) });
    } finally {
      name.isLookedUp = false;
      this.#lookupsCount--;
    }
  }

  #tellSilent(host: string, addresses: readonly string[]): void {
    const now = this.#tools.nowMs();
    for (const [key, { endpoint, lastMs }] of this.#peers) {
      const publicKey = endpoint.host === host && now - lastMs <= PAUSE_MS ? parseKey(key) : null;
      if (publicKey === null) continue;
      const endpoints = addresses.map((address) => ({ address, port: endpoint.port }));
      this.#tools.alsoTry(publicKey, endpoints);
    }
  }
}

/** The present endpoint and three others, families in turn; of more than that, each try goes on where the last one ended. */
function candidatesOf(peer: NamedPeer, { addresses }: Name, endpoint: NumericEndpoint | null): NumericEndpoint[] {
  const { port } = peer.endpoint;
  const named = addresses.filter((address) => !isSame(endpoint, { address, port }));
  const most = COPIES_MAX - 1;
  const first = named.length > most ? ((peer.tries - 1) * most) % named.length : 0;
  const others = [...named.slice(first), ...named.slice(0, first)].slice(0, most);
  if (endpoint === null) return others.map((address) => ({ address, port }));
  const [, ...ordered] = alternateFamilies([endpoint.address, ...others]);
  return [endpoint, ...ordered.map((address) => ({ address, port }))];
}

function newName(): Name {
  const [waitMs, askedMs, dueMs] = [WAIT_FIRST_MS, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  return { addresses: [], isLookedUp: false, dueMs, waitMs, askedMs, peersCount: 0 };
}

function isSame(left: NumericEndpoint | null, right: NumericEndpoint | null): boolean {
  return left !== null && left.address === right?.address && left.port === right.port;
}
