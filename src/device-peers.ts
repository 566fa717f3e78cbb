/**
 * The peers of a device as it is told of them: changes go in, one after the other, and what was said comes out again as
 * settings and as status. Peers themselves are the control lane's; here is who has which prefix, and the routing tables that
 * follow, which lanes get once for all changes that are at hand.
 */
import { timingSafeEqual } from 'node:crypto';
import type { DeviceChange, PeerSettings } from './control/device-change.ts';
import { formatPrefix } from './control/ip-text.ts';
import { formatKey } from './control/key-text.ts';
import { historyStatusOf } from './control-figures.ts';
import { type ControlLane, nowMs } from './control-lane.ts';
import type { ControlPeer, PeerPlan } from './control-lane-types.ts';
import { type CheckedPeer, nameOf } from './device-change-check.ts';
import type { PeerStatus } from './device-types.ts';
import { formatEndpoint, numericEndpointOf } from './endpoint-text.ts';
import { type HistorySettings, historyBytesOf } from './history/settings.ts';
import { explainFailure } from './protocol/action.ts';
import type { LaneCommand } from './tables/lane-messages.ts';
import { transferOf } from './tables/peers.ts';
import { PrefixOwners } from './tables/prefix-owners.ts';

export interface DevicePeersOptions {
  readonly control: ControlLane;
  /** Sends a command to all lanes. */
  readonly post: (command: LaneCommand) => void;
}

export class DevicePeers {
  readonly #control: ControlLane;
  readonly #post: (command: LaneCommand) => void;
  readonly #owners: PrefixOwners = new PrefixOwners();
  #routesChanged = true;
  #anyRemoved = false;
  #publishTimer: NodeJS.Timeout | null = null;
  /** When tables were last made, and how long that took, ms. */
  #publishedMs = 0;
  #publishingMs = 0;

  constructor({ control, post }: DevicePeersOptions) {
    this.#control = control;
    this.#post = post;
  }

  get count(): number {
    return this.#control.peers.size;
  }

  has(publicKey: Uint8Array): boolean {
    return this.#control.machine.peerId(publicKey) !== undefined;
  }

  /**
   * Carries out a change that was checked: first the private key, then the removal of all peers, then peers in order;
   * what becomes less of histories goes first.
   *
   * @param privateKey undefined if it stays
   */
  apply({ privateKey, replacePeers = false }: DeviceChange, peers: readonly CheckedPeer[]): void {
    if (privateKey !== undefined) this.#changePrivateKey(privateKey);
    if (replacePeers) for (const peer of [...this.#control.peers.values()]) this.#remove(peer);
    const ownKey = this.#control.machine.publicKey;
    const own = ownKey === null ? '' : nameOf(ownKey);
    this.#shrink(peers);
    let added: Map<string, CheckedPeer> = new Map();
    for (const change of peers) {
      if (change.name === own) continue;
      const isNew = !added.has(change.name) && !this.has(change.publicKey);
      if (isNew && change.remove !== true && change.updateOnly !== true) added.set(change.name, change);
      else if (!isNew) {
        this.#addAll(added);
        added = new Map();
        this.#change(change);
      }
    }
    this.#addAll(added);
    this.#publishSoon();
  }

  /** Gives lanes the routing tables, if they have changed, and has them answer, if peers were removed. */
  publish(): void {
    if (this.#publishTimer !== null) clearTimeout(this.#publishTimer);
    this.#publishTimer = null;
    const startedMs = performance.now();
    if (this.#routesChanged) this.#post({ type: 'routes', ipv4: this.#owners.table(4), ipv6: this.#owners.table(6) });
    if (this.#anyRemoved) this.#control.mark();
    this.#routesChanged = false;
    this.#anyRemoved = false;
    this.#publishedMs = performance.now();
    this.#publishingMs = this.#publishedMs - startedMs;
  }

  close(): void {
    if (this.#publishTimer !== null) clearTimeout(this.#publishTimer);
  }

  /** Settings for sending more than once, of all peers that will have any when a change is carried out. */
  historiesAfter({ replacePeers = false }: DeviceChange, changes: readonly CheckedPeer[]): HistorySettings[] {
    const { histories, machine } = this.#control;
    const after = new Map<string, HistorySettings | null>();
    if (!replacePeers)
      for (const [id, settings] of histories.entries()) after.set(nameOf(machine.peerPublicKey(id)), settings);
    for (const { name, remove = false, history } of changes)
      if (remove || history !== undefined) after.set(name, remove ? null : (history ?? null));
    return [...after.values()].filter((settings) => settings !== null);
  }

  settings(): PeerSettings[] {
    return [...this.#control.peers.values()].map((peer) => this.#settingsOf(peer));
  }

  status(): PeerStatus[] {
    return [...this.#control.peers.values()].map((peer) => this.#statusOf(peer));
  }

  /** The same key again changes nothing; a new one removes the peer whose private key it is. */
  #changePrivateKey(key: Uint8Array | null): void {
    const { machine } = this.#control;
    if (isSameKey(machine.privateKey, key && clamped(key))) return;
    this.#control.setPrivateKey(key);
    const peer = machine.publicKey === null ? undefined : this.#control.peerOf(machine.publicKey);
    if (peer !== undefined) this.#remove(peer);
  }

  /**
   * Histories that become less, of peers that are there: what follows may need their memory. What a peer has in the end counts;
   * it is set again when its turn comes.
   */
  #shrink(changes: readonly CheckedPeer[]): void {
    const last = new Map(changes.map((change) => [change.name, change]));
    for (const { publicKey, remove = false, history } of last.values()) {
      const peer = this.#control.peerOf(publicKey);
      const before = peer === undefined ? null : this.#control.histories.settingsOf(peer.id);
      if (peer === undefined || before === null || (!remove && history === undefined)) continue;
      const after = remove ? null : (history ?? null);
      const bytes = after === null ? 0 : historyBytesOf([after]);
      if (bytes < historyBytesOf([before])) this.#control.changePeer(peer, { history: after });
    }
  }

  #addAll(changes: ReadonlyMap<string, CheckedPeer>): void {
    if (changes.size === 0) return;
    const all = [...changes.values()];
    const added = this.#control.addPeers(all.map(planOf));
    for (const [at, peer] of added.entries()) this.#changePrefixes(peer, all[at]);
  }

  #change(change: CheckedPeer): void {
    const peer = this.#control.peerOf(change.publicKey);
    if (peer === undefined) return;
    if (change.remove === true) this.#remove(peer);
    else {
      this.#control.changePeer(peer, withoutZeroKey(change));
      this.#changePrefixes(peer, change);
    }
  }

  #changePrefixes({ id }: ControlPeer, { replaceAllowedIps = false, allowedIps = [] }: CheckedPeer): void {
    let changed = replaceAllowedIps && this.#owners.removeAll(id);
    for (const { prefix, remove } of allowedIps)
      changed = (remove ? this.#owners.remove(prefix, id) : this.#owners.add(prefix, id)) || changed;
    this.#routesChanged ||= changed;
  }

  #remove(peer: ControlPeer): void {
    const had = this.#owners.removeAll(peer.id);
    this.#routesChanged ||= had;
    this.#anyRemoved = true;
    this.#control.removePeer(peer);
  }

  /** Once for all changes of this turn; when tables are large and changes many, half of the time goes into tables at most. */
  #publishSoon(): void {
    if (this.#publishTimer !== null || (!this.#routesChanged && !this.#anyRemoved)) return;
    const waitMs = this.#publishedMs + this.#publishingMs - performance.now();
    this.#publishTimer = setTimeout(() => this.publish(), Math.max(0, waitMs));
  }

  #settingsOf(peer: ControlPeer): PeerSettings {
    const { machine, offloads } = this.#control;
    const { lastHandshakeRealMs, cipher } = machine.status(peer.id);
    const { receivedBytes, sentBytes } = transferOf(peer.cells);
    return {
      publicKey: machine.peerPublicKey(peer.id),
      presharedKey: machine.presharedKey(peer.id),
      endpoint: peer.endpoint === null ? null : numericEndpointOf(peer.endpoint),
      latestHandshakeMs: lastHandshakeRealMs,
      txBytes: sentBytes,
      rxBytes: receivedBytes,
      persistentKeepaliveSeconds: peer.persistentKeepaliveSeconds,
      allowedIps: this.#owners.of(peer.id),
      isGigatun: offloads.status(peer.id).isGigatun,
      cipher,
    };
  }

  #statusOf(peer: ControlPeer): PeerStatus {
    const { machine, offloads } = this.#control;
    const { lastHandshakeRealMs, lastFailure, cipher } = machine.status(peer.id);
    const { isGigatun, datagramsMax, shortTail, retrySeconds } = offloads.status(peer.id);
    const { receivedBytes, sentBytes } = transferOf(peer.cells);
    return {
      publicKey: formatKey(machine.peerPublicKey(peer.id)),
      endpoint: peer.endpoint === null ? null : formatEndpoint(peer.endpoint),
      allowedIps: this.#owners.of(peer.id).map(formatPrefix),
      latestHandshakeMs: lastHandshakeRealMs,
      rxBytes: receivedBytes,
      txBytes: sentBytes,
      persistentKeepaliveSeconds: peer.persistentKeepaliveSeconds,
      hasPresharedKey: machine.hasPresharedKey(peer.id),
      isGigatun,
      groupDatagramsMax: datagramsMax,
      groupShortTail: shortTail,
      groupRetrySeconds: retrySeconds,
      lastFailure: lastFailure === null ? null : explainFailure(lastFailure),
      cipher,
      history: historyStatusOf(this.#control, peer.id, nowMs()),
    };
  }
}

/** A peer that is new has what its first change says. */
function planOf(change: CheckedPeer): PeerPlan {
  const { publicKey, endpoint = null, persistentKeepaliveSeconds = 0, ...rest } = withoutZeroKey(change);
  return { ...rest, publicKey, presharedKey: rest.presharedKey ?? null, endpoint, persistentKeepaliveSeconds };
}

/** A preshared key of zeros is none (paper, section 5.2). */
function withoutZeroKey(change: CheckedPeer): CheckedPeer {
  const isZero = change.presharedKey?.every((byte) => byte === 0) ?? false;
  return isZero ? { ...change, presharedKey: null } : change;
}

/** Compares in constant time, and zeroes both. */
function isSameKey(left: Uint8Array | null, right: Uint8Array | null): boolean {
  const isSame = left === null || right === null ? left === right : timingSafeEqual(left, right);
  left?.fill(0);
  right?.fill(0);
  return isSame;
}

function clamped(key: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(key);
  copy[0] &= 0xf8;
  copy[31] = (copy[31] & 0x7f) | 0x40;
  return copy;
}
