/** Writes a TunnelConfig as a wg-quick file: the slow twin of the parser, in the plainest spelling. */
import type { IpPrefix, PeerFileConfig, TunnelConfig } from '../../../src/control/config-types.ts';

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
    ...(endpoint === null
      ? []
      : [`Endpoint = ${endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`]),
    `PersistentKeepalive = ${peer.persistentKeepaliveSeconds}`,
    `#gigatun: Announce = ${peer.announces === false ? 'off' : 'on'}`,
    ...(peer.offloads === undefined ? [] : [`#gigatun: Offloads = ${peer.offloads}`]),
    `#gigatun: Cipher = ${peer.cipher}`,
  ];
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
