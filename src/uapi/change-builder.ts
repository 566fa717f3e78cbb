/**
 * Collects the lines of one `set` request into a DeviceChange. Lines before the first `public_key` are about the device,
 * those behind it about that peer. Each line means what it means to wireguard-go, which carries out line by line; here the
 * whole becomes one change, so that a bad line leaves the device as it was.
 */
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

/** What a line does to the part of the change that it is about; `value` is the line's bytes behind `=`. */
type DeviceLine = (device: DeviceDraft, value: Buffer) => void;
type PeerLine = (peer: PeerDraft, value: Buffer, builder: ChangeBuilder) => void;

const DEVICE_LINES: ReadonlyMap<string, DeviceLine> = new Map<string, DeviceLine>([
  ['private_key', (device, value) => replaceKey(device, 'privateKey', privateKeyOf(value))],
  [
    'listen_port',
    (device, value) => {
      device.listenPort = readNumber('listen_port', textOf(value), PORT_MAX);
    },
  ],
  [
    'fwmark',
    (device, value) => {
      device.fwmark = readNumber('fwmark', textOf(value), WORD_MAX);
    },
  ],
  [
    'replace_peers',
    (device, value) => {
      device.replacePeers = readTrue('replace_peers', textOf(value));
    },
  ],
]);

const PEER_LINES: ReadonlyMap<string, PeerLine> = new Map<string, PeerLine>([
  [
    'remove',
    (peer, value) => {
      peer.remove = readTrue('remove', textOf(value));
    },
  ],
  [
    'update_only',
    (peer, value) => {
      peer.updateOnly = readTrue('update_only', textOf(value));
    },
  ],
  ['preshared_key', (peer, value) => replaceKey(peer, 'presharedKey', readHexKey('preshared_key', value))],
  [
    'endpoint',
    (peer, value) => {
      peer.endpoint = readEndpoint(textOf(value));
    },
  ],
  [
    'persistent_keepalive_interval',
    (peer, value) => {
      const name = 'persistent_keepalive_interval';
      peer.persistentKeepaliveSeconds = readNumber(name, textOf(value), SECONDS_MAX);
    },
  ],
  [
    'replace_allowed_ips',
    (_, value, builder) => builder.replaceAllowedIps(readTrue('replace_allowed_ips', textOf(value))),
  ],
  [
    'allowed_ip',
    (peer, value) => {
      peer.allowedIps ??= [];
      peer.allowedIps.push(allowedIpOf(textOf(value)));
    },
  ],
  ['protocol_version', (_, value) => checkVersion(textOf(value))],
]);

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
    else if (this.#peer === null) lineOf(DEVICE_LINES, key, 'device')(this.#device, value);
    else lineOf(PEER_LINES, key, 'peer')(this.#peer, value, this);
  }

  /** The change; its keys are the caller's, to zero when it has been carried out. */
  build(): DeviceChange {
    return { ...this.#device, peers: this.#peers };
  }

  /** For the line `replace_allowed_ips`: prefixes named before it are replaced as well, though they left their former peers. */
  replaceAllowedIps(replace: true): void {
    if (this.#peer === null) return;
    const { publicKey, updateOnly, allowedIps } = this.#peer;
    if (allowedIps !== undefined) this.#begin({ publicKey, ...(updateOnly === undefined ? {} : { updateOnly }) });
    this.#peer.replaceAllowedIps = replace;
  }

  #begin(peer: PeerDraft): void {
    this.#peer = peer;
    this.#peers.push(peer);
  }
}

/** Zeroes the secrets of a change. */
export function wipeChange(change: DeviceChange): void {
  change.privateKey?.fill(0);
  for (const { presharedKey } of change.peers ?? []) presharedKey?.fill(0);
}

function lineOf<T>(lines: ReadonlyMap<string, T>, key: string, what: string): T {
  const line = lines.get(key);
  if (line !== undefined) return line;
  throw invalid(`expected a key of a ${what}: ${[...lines.keys()].join(', ')}; got another`);
}

/** Of two lines the later holds; the earlier key is zeroed. All zeros stand for none. */
function replaceKey<K extends string>(draft: { [P in K]?: Uint8Array | null }, name: K, key: Uint8Array): void {
  draft[name]?.fill(0);
  draft[name] = isZeroKey(key) ? null : key;
}

/** As Curve25519 uses it, which is also how wireguard-go shows it; zeros stay zeros. */
function privateKeyOf(value: Buffer): Uint8Array {
  const key = readHexKey('private_key', value);
  if (isZeroKey(key)) return key;
  const clamped = clampPrivateKey(key);
  key.fill(0);
  return clamped;
}

/** `-` before the prefix takes it from the peer. */
function allowedIpOf(text: string): AllowedIpChange {
  const remove = text.startsWith('-');
  return { prefix: readPrefix(remove ? text.slice(1) : text), remove };
}

function checkVersion(text: string): void {
  if (text !== '1') throw invalid('expected protocol_version=1, got another');
}

/** Bytes above 127 become letters that no value has. */
function textOf(value: Buffer): string {
  return value.toString('latin1');
}
