/** The text of `gigatun show`: the same words and order as `wg show`, and what only gigatun knows. Pure. */
import type { DeviceStatus, PeerStatus } from '../device-types.ts';
import { historyLines } from '../ledger/history-report.ts';

/**
 * Formats one interface with its peers, the most recently heard first; lines ended by newlines.
 *
 * @param nowMs milliseconds since the epoch, for "ago".
 */
export function formatShow(status: DeviceStatus, nowMs: number): string {
  const peers = status.peers.toSorted((left, right) => right.latestHandshakeMs - left.latestHandshakeMs);
  return [interfaceLines(status), ...peers.map((peer) => peerLines(peer, nowMs))]
    .map((lines) => `${lines.join('\n')}\n`)
    .join('\n');
}

function interfaceLines(status: DeviceStatus): string[] {
  const { publicKey, listenPort, fwmark, mtu, up, lanes, aead, offloads, heldOffloads, memoryCapBytes: cap } = status;
  return [
    `interface: ${status.interface}`,
    ...(publicKey === null ? [] : [`  public key: ${publicKey}`, '  private key: (hidden)']),
    `  listening port: ${listenPort}`,
    ...(fwmark === 0 ? [] : [`  fwmark: 0x${fwmark.toString(16)}`]),
    `  mtu: ${mtu}${up ? '' : ' (interface is down)'}`,
    `  lanes: ${lanes}, aead ${aead}${offloads.length === 0 ? '' : `, ${offloads.join(' ')}`}`,
    `  memory: ${(status.rssBytes / 1e6).toFixed(1)} MB resident${cap === null ? '' : ` of ${cap / 1e6} MB allowed`}`,
    ...heldOffloads.map(
      ({ offload, lane, reason, retrySeconds }) =>
        `  held back: ${offload} on lane ${lane}, again in ${retrySeconds} s: ${reason}`,
    ),
  ];
}

function peerLines(peer: PeerStatus, nowMs: number): string[] {
  const { endpoint, allowedIps, latestHandshakeMs, rxBytes, txBytes, persistentKeepaliveSeconds, lastFailure, cipher } =
    peer;
  const keepalive = `  persistent keepalive: every ${formatCount(persistentKeepaliveSeconds, 'second')}`;
  return [
    `peer: ${peer.publicKey}`,
    ...(peer.hasPresharedKey ? ['  preshared key: (hidden)'] : []),
    ...(endpoint === null ? [] : [`  endpoint: ${endpoint}`]),
    `  allowed ips: ${allowedIps.length === 0 ? '(none)' : allowedIps.join(', ')}`,
    ...(latestHandshakeMs === 0 ? [] : [`  latest handshake: ${formatAgo(nowMs - latestHandshakeMs)}`]),
    ...(cipher === null ? [] : [`  cipher: ${cipher}`]),
    ...(lastFailure === null ? [] : [`  last handshake failure: ${lastFailure}`]),
    ...(rxBytes === 0 && txBytes === 0
      ? []
      : [`  transfer: ${formatBytes(rxBytes)} received, ${formatBytes(txBytes)} sent`]),
    ...(persistentKeepaliveSeconds === 0 ? [] : [keepalive]),
    ...groupLines(peer),
    ...(peer.history === null ? [] : historyLines(peer.history).map((line) => `  ${line}`)),
  ];
}

/** Only where less goes to the peer than the kernel would take. */
function groupLines({ groupDatagramsMax, groupShortTail, groupRetrySeconds }: PeerStatus): string[] {
  if (groupRetrySeconds === null) return [];
  const size = groupDatagramsMax === 1 ? 'none' : `at most ${formatCount(groupDatagramsMax, 'datagram')}`;
  const tail = groupShortTail || groupDatagramsMax === 1 ? '' : ', the last as long as the others';
  return [`  datagram groups: ${size}${tail}; more are tried in ${formatCount(groupRetrySeconds, 'second')}`];
}

const UNITS: readonly { readonly name: string; readonly seconds: number }[] = [
  { name: 'year', seconds: 365 * 86_400 },
  { name: 'day', seconds: 86_400 },
  { name: 'hour', seconds: 3_600 },
  { name: 'minute', seconds: 60 },
  { name: 'second', seconds: 1 },
];

/** A time that has passed, in words; milliseconds in. */
export function formatAgo(passedMs: number): string {
  if (passedMs < 0) return 'in the future (did the clock go back?)';
  let rest = Math.floor(passedMs / 1_000);
  if (rest === 0) return 'now';
  const parts: string[] = [];
  for (const { name, seconds } of UNITS) {
    const count = Math.floor(rest / seconds);
    rest -= count * seconds;
    if (count > 0) parts.push(formatCount(count, name));
  }
  return `${parts.join(', ')} ago`;
}

function formatCount(count: number, unit: string): string {
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}

const BYTE_UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** Bytes in binary units, two decimals. */
export function formatBytes(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  let value = bytes;
  let shown = '';
  for (const unit of BYTE_UNITS) {
    if (value < 1_024) break;
    value /= 1_024;
    shown = unit;
  }
  return `${value.toFixed(2)} ${shown}`;
}
