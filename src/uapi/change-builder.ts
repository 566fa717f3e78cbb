/**
 * Collects the lines of one `set` request into a DeviceChange. Lines before the first `public_key` are about the device,
 * those behind it about that peer. Each line means what it means to wireguard-go, which carries out line by line; here the
 * whole becomes one change, so that a bad line leaves the device as it was.
 */
import { quoteValue } from '../control/config-problems.ts';
import type { AllowedIpChange, DeviceChange, PeerChange } from '../control/device-change.ts';
import { clampPrivateKey } from '../control/key-text.ts';
import { invalid } from './errno.ts';
import {
  isZeroKey,
  PORT_MAX,
  readEndpoint,
  readHexKey,
  readNumber,
  readPrefix,
  readTrue,
  SECONDS_MAX,
  WORD_MAX,
} from './values.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type PeerDraft = Writable<Omit<PeerChange, 'allowedIps'>> & { allowedIps?: AllowedIpChange[] };
type DeviceDraft = Writable<Omit<DeviceChange, 'peers'>>;

/** Lines that undo prefixes named before them in the same section; such prefixes still leave their former peers. */
const UNDOES_PREFIXES: ReadonlySet<string> = new Set(['remove', 'replace_allowed_ips']);

export class ChangeBuilder {
  readonly #device: DeviceDraft = {};
  readonly #peers: PeerDraft[] = [];
  #peer: PeerDraft | null = null;

  /**
   * Takes one line.
   *
   * @param key what stands before the first `=`.
   * @param value the bytes behind it; not kept.
   * @throws GigatunError with errno EINVAL for a key that does not belong here, or a value that it may not have.
   */
  take(key: string, value: Buffer): void {
    if (key === 'public_key') this.#begin({ publicKey: readHexKey(key, value) });
    else if (this.#peer === null) takeDeviceLine(this.#device, key, value);
    else takePeerLine(UNDOES_PREFIXES.has(key) ? this.#draftBehindPrefixes(this.#peer) : this.#peer, key, value);
  }

  /** The change; its keys are the caller's, to zero when it has been carried out. */
  build(): DeviceChange {
    return { ...this.#device, peers: this.#peers };
  }

  /** Prefixes that were named already stay in a change of their own, and another change of the same peer follows. */
  #draftBehindPrefixes(peer: PeerDraft): PeerDraft {
    const { publicKey, updateOnly, allowedIps, remove } = peer;
    if (allowedIps === undefined || remove === true) return peer;
    return this.#begin({ publicKey, ...(updateOnly === undefined ? {} : { updateOnly }) });
  }

  #begin(peer: PeerDraft): PeerDraft {
    this.#peer = peer;
    this.#peers.push(peer);
    return peer;
  }
}

/** Zeroes the secrets of a change. */
export function wipeChange(change: DeviceChange): void {
  change.privateKey?.fill(0);
  for (const { presharedKey } of change.peers ?? []) presharedKey?.fill(0);
}

function takeDeviceLine(device: DeviceDraft, key: string, value: Buffer): void {
  switch (key) {
    case 'private_key':
      replaceKey(device, 'privateKey', readPrivateKey(value));
      break;
    case 'listen_port':
      device.listenPort = readNumber(key, textOf(value), PORT_MAX);
      break;
    case 'fwmark':
      device.fwmark = readNumber(key, textOf(value), WORD_MAX);
      break;
    case 'replace_peers':
      device.replacePeers = readTrue(key, textOf(value));
      break;
    default:
      throw invalid(`expected a key of the device, or public_key, got ${quoteValue(key)}`);
  }
}

function takePeerLine(peer: PeerDraft, key: string, value: Buffer): void {
  switch (key) {
    case 'remove':
      peer.remove = readTrue(key, textOf(value));
      break;
    case 'update_only':
      peer.updateOnly = readTrue(key, textOf(value));
      break;
    case 'preshared_key':
      replaceKey(peer, 'presharedKey', readHexKey(key, value));
      break;
    case 'endpoint':
      peer.endpoint = readEndpoint(textOf(value));
      break;
    case 'persistent_keepalive_interval':
      peer.persistentKeepaliveSeconds = readNumber(key, textOf(value), SECONDS_MAX);
      break;
    case 'replace_allowed_ips':
      peer.replaceAllowedIps = readTrue(key, textOf(value));
      break;
    case 'allowed_ip':
      peer.allowedIps ??= [];
      peer.allowedIps.push(readAllowedIp(textOf(value)));
      break;
    case 'protocol_version':
      if (textOf(value) !== '1') throw invalid(`expected protocol_version=1, got ${quoteValue(textOf(value))}`);
      break;
    default:
      throw invalid(`expected a key of a peer, got ${quoteValue(key)}`);
  }
}

/** Of two lines the later holds; the earlier key is zeroed. All zeros stand for none. */
function replaceKey<K extends string>(draft: { [P in K]?: Uint8Array | null }, name: K, key: Uint8Array): void {
  draft[name]?.fill(0);
  draft[name] = isZeroKey(key) ? null : key;
}

/** As Curve25519 uses it, which is also how wireguard-go shows it; zeros stay zeros. */
function readPrivateKey(value: Buffer): Uint8Array {
  const key = readHexKey('private_key', value);
  if (isZeroKey(key)) return key;
  const clamped = clampPrivateKey(key);
  key.fill(0);
  return clamped;
}

/** `-` before the prefix takes it from the peer. */
function readAllowedIp(text: string): AllowedIpChange {
  const remove = text.startsWith('-');
  return { prefix: readPrefix(remove ? text.slice(1) : text), remove };
}

/** Bytes above 127 become letters that no value has. */
function textOf(value: Buffer): string {
  return value.toString('latin1');
}
