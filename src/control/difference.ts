/**
 * What a new file asks of a running device: its settings and what it was last told in, one change and its words out.
 * Pure. The device is the truth about keys, keepalives and prefixes, whoever set them; the last file is the truth about
 * endpoints, for a peer may have roamed since: an endpoint moves only when the file's own line has changed.
 *
 * A peer that is in both keeps its session: it is told what differs and nothing else. Words hold public keys only.
 */
import { timingSafeEqual } from 'node:crypto';
import type { HistorySettings } from '../history/settings.ts';
import { type AppliedPeer, NO_APPLIED_PEER } from './applied.ts';
import type { IpPrefix, NamedEndpoint, NumericEndpoint, PeerFileConfig } from './config-types.ts';
import type { AllowedIpChange, DeviceChange, DeviceSettings, PeerChange, PeerSettings } from './device-change.ts';
import { historyWords } from './history-words.ts';
import { formatPrefix } from './ip-text.ts';
import { formatKey, publicKeyOf } from './key-text.ts';

/** One difference, for a person: `+` comes, `-` goes, `~` becomes another. */
export interface DifferenceLine {
  readonly sign: '+' | '-' | '~';
  readonly text: string;
}

export interface DeviceDifference {
  readonly change: DeviceChange;
  /** Empty exactly where the change is. */
  readonly lines: readonly DifferenceLine[];
}

/** What names of a peer's file have become: its endpoint, and its settings for sending more than once. */
export interface LookedUp {
  readonly endpoint: NumericEndpoint | null;
  readonly history: HistorySettings | null;
}

/** What the device is to be, as the file has it. */
export interface WantedDevice {
  /** 32 bytes. */
  readonly privateKey: Uint8Array;
  /** 0: whatever it is. */
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly PeerFileConfig[];
}

/** A peer on both sides of a reload; null where it is not. */
export interface PeerMatch {
  /** Base64. */
  readonly key: string;
  readonly present: PeerSettings | null;
  readonly wanted: PeerFileConfig | null;
  readonly applied: AppliedPeer;
  /** Whether the wanted endpoint has to be looked up and set. */
  readonly moves: boolean;
  /** Whether settings for sending more than once differ, or come with a new peer: names in them have to be looked up. */
  readonly isHistoryNew: boolean;
}

const NOTHING_LOOKED_UP: LookedUp = { endpoint: null, history: null };
/** Prefixes of one peer that its words hold, and prefixes of one change. */
const PREFIXES_SHOWN_MAX = 8;

/** Pairs the peers of the device with those of the file: first those that go, then the file's, in its order. */
export function matchPeers(
  settings: DeviceSettings,
  applied: ReadonlyMap<string, AppliedPeer>,
  wanted: readonly PeerFileConfig[],
): PeerMatch[] {
  const presents = new Map(settings.peers.map((peer) => [formatKey(peer.publicKey), peer]));
  const staying = wanted.map((peer) => {
    const key = formatKey(peer.publicKey);
    const present = presents.get(key) ?? null;
    presents.delete(key);
    return matchOf(key, present, peer, applied.get(key));
  });
  return [...[...presents].map(([key, present]) => matchOf(key, present, null, applied.get(key))), ...staying];
}

function matchOf(
  key: string,
  present: PeerSettings | null,
  wanted: PeerFileConfig | null,
  applied: AppliedPeer = NO_APPLIED_PEER,
): PeerMatch {
  const endpoint = wanted?.endpoint ?? null;
  const isKnown = present?.endpoint != null && isSameEndpoint(endpoint, applied.endpoint);
  const before = present === null ? null : applied.history;
  const isHistoryNew = wanted !== null && JSON.stringify(wanted.history ?? null) !== JSON.stringify(before);
  return { key, present, wanted, applied, moves: endpoint !== null && !isKnown, isHistoryNew };
}

/**
 * The change from what a device is to what it is to be.
 *
 * @param lookedUp of the matches that move, or whose history is new, by public key in base64.
 */
export function deviceDifference(
  settings: DeviceSettings,
  wanted: Omit<WantedDevice, 'peers'>,
  matches: readonly PeerMatch[],
  lookedUp: ReadonlyMap<string, LookedUp>,
): DeviceDifference {
  const own = ownDifference(settings, wanted);
  const peers: PeerChange[] = [];
  const lines = [...own.lines];
  for (const match of matches) {
    const difference = peerDifference(match, lookedUp.get(match.key) ?? NOTHING_LOOKED_UP);
    if (difference === null) continue;
    peers.push(difference.change);
    lines.push(difference.line);
  }
  return { change: peers.length === 0 ? own.change : { ...own.change, peers }, lines };
}

function ownDifference(
  { privateKey, listenPort, fwmark }: DeviceSettings,
  wanted: Omit<WantedDevice, 'peers'>,
): DeviceDifference {
  const change: { -readonly [Key in keyof DeviceChange]: DeviceChange[Key] } = {};
  const lines: DifferenceLine[] = [];
  const note = (text: string): number => lines.push({ sign: '~', text });
  // By public keys: the device may keep its private key clamped.
  const [present, future] = [privateKey === null ? '(none)' : publicText(privateKey), publicText(wanted.privateKey)];
  if (present !== future) {
    change.privateKey = wanted.privateKey;
    note(`public key ${present} -> ${future}`);
  }
  if (wanted.listenPort !== 0 && wanted.listenPort !== listenPort) {
    change.listenPort = wanted.listenPort;
    note(`listen port ${listenPort} -> ${wanted.listenPort}`);
  }
  if (wanted.fwmark !== fwmark) {
    change.fwmark = wanted.fwmark;
    note(`fwmark ${markText(fwmark)} -> ${markText(wanted.fwmark)}`);
  }
  return { change, lines };
}

function peerDifference(match: PeerMatch, lookedUp: LookedUp): { change: PeerChange; line: DifferenceLine } | null {
  const { key, present, wanted } = match;
  if (wanted === null) {
    const publicKey = present?.publicKey ?? new Uint8Array(0);
    return { change: { publicKey, remove: true }, line: { sign: '-', text: `peer ${key}` } };
  }
  if (present === null)
    return { change: newPeer(wanted, lookedUp), line: { sign: '+', text: newPeerText(key, wanted) } };
  const { change, words } = changedPeer(match, present, wanted, lookedUp);
  if (words.length === 0) return null;
  return { change, line: { sign: '~', text: `peer ${key} ${words.join(', ')}` } };
}

function newPeer(wanted: PeerFileConfig, { endpoint, history }: LookedUp): PeerChange {
  const { allowedIps, endpoint: _, history: __, ...rest } = wanted;
  const named = { ...(endpoint === null ? {} : { endpoint }), ...(history === null ? {} : { history }) };
  return { ...rest, ...named, allowedIps: allowedIps.map(added) };
}

function newPeerText(
  key: string,
  { allowedIps, endpoint, presharedKey, persistentKeepaliveSeconds }: PeerFileConfig,
): string {
  const words = [`peer ${key}`, prefixesText(allowedIps.map(formatPrefix), ' ')];
  if (endpoint !== null) words.push(`endpoint ${endpointText(endpoint)}`);
  if (presharedKey !== null) words.push('with a preshared key');
  if (persistentKeepaliveSeconds !== 0) words.push(`keepalive ${persistentKeepaliveSeconds}`);
  return words.filter((word) => word !== '').join(' ');
}

/** Only what differs, in change and in words. */
function changedPeer(
  { applied, moves, isHistoryNew }: PeerMatch,
  present: PeerSettings,
  wanted: PeerFileConfig,
  { endpoint, history }: LookedUp,
): { change: PeerChange; words: string[] } {
  const { publicKey, presharedKey, persistentKeepaliveSeconds: seconds } = wanted;
  const change: { -readonly [Key in keyof PeerChange]: PeerChange[Key] } = { publicKey, updateOnly: true };
  const words: string[] = [];
  if (moves && endpoint !== null) {
    change.endpoint = endpoint;
    words.push(`endpoint ${endpointText(applied.endpoint ?? present.endpoint)} -> ${endpointText(wanted.endpoint)}`);
  }
  if (!isSameSecret(present.presharedKey, presharedKey)) {
    change.presharedKey = presharedKey;
    words.push(
      `preshared key ${presharedKey === null ? 'removed' : present.presharedKey === null ? 'set' : 'changed'}`,
    );
  }
  if (seconds !== present.persistentKeepaliveSeconds) {
    change.persistentKeepaliveSeconds = seconds;
    words.push(`keepalive ${present.persistentKeepaliveSeconds} -> ${seconds}`);
  }
  const allowedIps = prefixChanges(present.allowedIps, wanted.allowedIps);
  if (allowedIps.length > 0) {
    change.allowedIps = allowedIps;
    const texts = allowedIps.map(({ prefix, remove }) => `${remove ? '-' : '+'}${formatPrefix(prefix)}`);
    words.push(`allowed ips ${prefixesText(texts, ' ')}`);
  }
  if (isHistoryNew) {
    change.history = history;
    words.push(...historyWords(applied.history, wanted.history ?? null));
  }
  const choices = changedChoices(applied, wanted);
  return { change: { ...change, ...choices.change }, words: [...words, ...choices.words] };
}

/** Settings beyond WireGuard, which the device does not tell. */
function changedChoices(
  applied: AppliedPeer,
  wanted: PeerFileConfig,
): { change: Partial<PeerChange>; words: string[] } {
  const { offloads, announces, cipher } = { ...NO_APPLIED_PEER, ...wanted };
  const words: string[] = [];
  const note = (name: string, from: string, to: string): void => {
    words.push(`${name} ${from} -> ${to}`);
  };
  if (offloads !== applied.offloads) note('offloads', applied.offloads, offloads);
  if (announces !== applied.announces) note('announce', onOff(applied.announces), onOff(announces));
  if (cipher !== applied.cipher) note('cipher', applied.cipher, cipher);
  const change = {
    ...(offloads === applied.offloads ? {} : { offloads }),
    ...(announces === applied.announces ? {} : { announces }),
    ...(cipher === applied.cipher ? {} : { cipher }),
  };
  return { change, words };
}

/** First what is taken away, then what is given. */
function prefixChanges(present: readonly IpPrefix[], wanted: readonly IpPrefix[]): AllowedIpChange[] {
  const had = new Set(present.map(prefixName));
  const has = new Set(wanted.map(prefixName));
  return [
    ...present.filter((prefix) => !has.has(prefixName(prefix))).map((prefix) => ({ prefix, remove: true })),
    ...wanted.filter((prefix) => !had.has(prefixName(prefix))).map(added),
  ];
}

function added(prefix: IpPrefix): AllowedIpChange {
  return { prefix, remove: false };
}

/** Shorter to make than its text. */
function prefixName({ address, length }: IpPrefix): string {
  return String.fromCharCode(length, ...address);
}

function prefixesText(texts: readonly string[], separator: string): string {
  const shown = texts.slice(0, PREFIXES_SHOWN_MAX);
  if (texts.length > shown.length) shown.push(`and ${texts.length - shown.length} more`);
  return shown.join(separator);
}

/** An endpoint as a file has it. */
export function endpointText(endpoint: NamedEndpoint | NumericEndpoint | null): string {
  if (endpoint === null) return '(none)';
  const host = 'host' in endpoint ? endpoint.host : endpoint.address;
  return `${host.includes(':') ? `[${host}]` : host}:${endpoint.port}`;
}

function isSameEndpoint(left: NamedEndpoint | null, right: NamedEndpoint | null): boolean {
  return left === right || (left !== null && left.host === right?.host && left.port === right.port);
}

/** In constant time for two keys. */
function isSameSecret(left: Uint8Array | null, right: Uint8Array | null): boolean {
  if (left === null || right === null) return left === right;
  return left.length === right.length && timingSafeEqual(left, right);
}

function publicText(privateKey: Uint8Array): string {
  return formatKey(publicKeyOf(privateKey));
}

function markText(mark: number): string {
  return mark === 0 ? 'off' : `0x${mark.toString(16)}`;
}

function onOff(isOn: boolean): string {
  return isOn ? 'on' : 'off';
}
