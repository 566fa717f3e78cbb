/** Writes a TunnelConfig as a wg-quick file: the slow twin of the parser, in the plainest spelling. */
import type {
  HistoryFileSettings,
  IpPrefix,
  NamedEndpoint,
  PathFileSettings,
  PeerFileConfig,
  TunnelConfig,
} from '../../../src/control/config-types.ts';
import type { CopyFilter } from '../../../src/history/settings.ts';

export function formatConfig(config: TunnelConfig): string {
  const { interface: link, settings } = config;
  const lines = [
    '[Interface]',
    `PrivateKey = ${base64(config.privateKey)}`,
    `ListenPort = ${config.listenPort}`,
    `FwMark = ${config.fwmark}`,
    ...link.addresses.map((address) => `Address = ${prefixText(address)}`),
    ...(link.mtu === null ? [] : [`MTU = ${link.mtu}`]),
    `Table = ${link.table}`,
    ...[...link.dnsServers, ...link.dnsSearch].map((entry) => `DNS = ${entry}`),
    ...link.hooks.preUp.map((command) => `PreUp = ${command}`),
    ...link.hooks.postUp.map((command) => `PostUp = ${command}`),
    ...link.hooks.preDown.map((command) => `PreDown = ${command}`),
    ...link.hooks.postDown.map((command) => `PostDown = ${command}`),
    `SaveConfig = ${link.saveConfig}`,
    ...(settings.lanes === null ? [] : [`#gigatun: Lanes = ${settings.lanes}`]),
    ...(settings.memoryCapBytes === null ? [] : [`#gigatun: Memory = ${settings.memoryCapBytes / 1e6}`]),
    ...(settings.txQueueLength === null ? [] : [`#gigatun: TxQueueLength = ${settings.txQueueLength}`]),
    ...(settings.offloads === null ? [] : [`#gigatun: Offloads = ${settings.offloads.join(', ') || 'none'}`]),
    ...(settings.announces === null ? [] : [`#gigatun: Announce = ${settings.announces ? 'on' : 'off'}`]),
    ...config.peers.flatMap(peerLines),
  ];
  return `${lines.join('\n')}\n`;
}

function peerLines(peer: PeerFileConfig): string[] {
  const { endpoint, presharedKey } = peer;
  return [
    '',
    '[Peer]',
    `PublicKey = ${base64(peer.publicKey)}`,
    ...(presharedKey === null ? [] : [`PresharedKey = ${base64(presharedKey)}`]),
    `AllowedIPs = ${peer.allowedIps.map(prefixText).join(', ')}`,
    ...(endpoint === null ? [] : [`Endpoint = ${endpointText(endpoint)}`]),
    `PersistentKeepalive = ${peer.persistentKeepaliveSeconds}`,
    `#gigatun: Announce = ${peer.announces === false ? 'off' : 'on'}`,
    ...(peer.offloads === undefined ? [] : [`#gigatun: Offloads = ${peer.offloads}`]),
    `#gigatun: Cipher = ${peer.cipher}`,
    ...(peer.history == null ? [] : historyLines(peer.history)),
  ];
}

function historyLines(history: HistoryFileSettings): string[] {
  const { copies, retransmitMs, retransmitBudget, inOrder, holdMs, fec, ringBytes, paths, pathMode } = history;
  const only = copies.only === null ? [] : filterWords(copies.only);
  const lines = [
    `Copies = ${copies.count}`,
    `CopyDelay = ${copies.delayMs}ms`,
    ...(only.length === 0 ? [] : [`CopyOnly = ${only.join(', ')}`]),
    `CopyWhen = ${copies.when}`,
    `CopyBudget = ${Math.round(copies.budget * 100)}%`,
    `Retransmit = ${retransmitMs === 0 ? 'off' : `${retransmitMs / 1_000}s`}`,
    `RetransmitBudget = ${Math.round(retransmitBudget * 100)}%`,
    `InOrder = ${inOrder}`,
    `HoldTime = ${holdMs === null ? 'auto' : `${holdMs}ms`}`,
    `Fec = ${fec.mode === 'on' ? `${fec.data}+${fec.parity}` : fec.mode}`,
    `FecDelay = ${fec.delayMs}ms`,
    `History = ${ringBytes / 1_024}KiB`,
    ...paths.map((path) => `Path = ${pathWords(path).join(' ')}`),
    ...(pathMode === null ? [] : [`PathMode = ${pathMode}`]),
  ];
  return lines.map((line) => `#gigatun: ${line}`);
}

function filterWords({ small, handshake, dscps }: CopyFilter): string[] {
  return [...(small ? ['small'] : []), ...(handshake ? ['handshake'] : []), ...dscps.map((dscp) => `dscp:${dscp}`)];
}

function pathWords({ name, localAddress, localInterface, endpoint, weight, isBackup }: PathFileSettings): string[] {
  const local = localAddress ?? localInterface;
  return [
    name,
    ...(isBackup ? ['backup'] : []),
    ...(local === null ? [] : [`local=${local}`]),
    ...(endpoint === null ? [] : [`endpoint=${endpointText(endpoint)}`]),
    `weight=${weight}`,
  ];
}

function endpointText({ host, port }: NamedEndpoint): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Every group written out, nothing shortened. */
function prefixText({ address, length }: IpPrefix): string {
  if (address.length === 4) return `${address.join('.')}/${length}`;
  const hex = Buffer.from(address).toString('hex');
  return `${hex.match(/.{4}/g)?.join(':')}/${length}`;
}

function base64(key: Uint8Array): string {
  return Buffer.from(key).toString('base64');
}
