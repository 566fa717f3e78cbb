/**
 * The UAPI as slowly and plainly as it can be said: whole texts, split into lines, each line carried out at once on maps, as
 * wireguard-go does it; a bad request puts everything back as it was.
 */
import { createHash } from 'node:crypto';
import { formatPrefix, maskPrefix, parseAddress } from '../../src/control/ip-text.ts';
import { publicKeyOf } from '../../src/control/key-text.ts';

interface SlowPeer {
  psk: string;
  endpoint: string;
  keepalive: number;
  ips: string[];
}

interface State {
  privateKey: string;
  listenPort: number;
  fwmark: number;
  peers: Map<string, SlowPeer>;
}

const ZERO = '0'.repeat(64);

export class SlowUapi {
  #state: State = { privateKey: ZERO, listenPort: 0, fwmark: 0, peers: new Map() };

  /** Answers a text of whole requests as a connection would until it hangs up. */
  answer(text: string): string {
    let answers = '';
    const lines = text.split('\n');
    while (lines.length > 1) {
      const operation = lines.shift();
      if (operation === 'get=1' && lines.length > 1 && lines.shift() === '') answers += `${this.#get()}errno=0\n\n`;
      else if (operation === 'get=1') return `${answers}errno=22\n\n`;
      else if (operation === 'set=1') {
        const end = lines.findIndex((line) => line.replace(/\r$/, '') === '');
        answers += `errno=${this.#set(lines.splice(0, end + 1).slice(0, -1))}\n\n`;
      } else return answers;
    }
    return answers;
  }

  #set(lines: readonly string[]): number {
    const before = structuredClone(this.#state);
    let section: string | null = null;
    let isDummy = false;
    let isNew = false;
    for (const line of lines.map((text) => text.replace(/\r$/, ''))) {
      const [, key, value] = /^([^=]*)=(.*)$/s.exec(line) ?? [];
      let good: boolean | 'dummy' = false;
      if (key === 'public_key') {
        good = /^[\da-f]{64}$/i.test(value);
        section = value.toLowerCase();
        isDummy = section === ownKey(this.#state);
        isNew = !isDummy && !this.#state.peers.has(section);
        if (isNew) this.#state.peers.set(section, { psk: ZERO, endpoint: '', keepalive: 0, ips: [] });
      } else if (section === null) good = this.#setDevice(key, value);
      else good = this.#setPeer(section, isDummy, isNew, key, value);
      if (good === 'dummy') isDummy = true;
      if (good !== false) continue;
      this.#state = before;
      return key === undefined ? -71 : -22;
    }
    return 0;
  }

  #setDevice(key: string | undefined, value: string): boolean {
    const state = this.#state;
    if (key === 'private_key' && /^[\da-f]{64}$/i.test(value)) state.privateKey = clamped(value);
    else if (key === 'listen_port' && isNumber(value, 65_535)) state.listenPort = Number(value);
    else if (key === 'fwmark' && isNumber(value, 4_294_967_295)) state.fwmark = Number(value);
    else if (key === 'replace_peers' && value === 'true') state.peers.clear();
    else return false;
    state.peers.delete(ownKey(state));
    return true;
  }

  #setPeer(name: string, isDummy: boolean, isNew: boolean, key: string | undefined, value: string): boolean | 'dummy' {
    const peers = this.#state.peers;
    const peer = (isDummy ? undefined : peers.get(name)) ?? { psk: '', endpoint: '', keepalive: 0, ips: [] };
    const minus = value?.startsWith('-') ? 1 : 0;
    if (key === 'remove' && value === 'true') {
      if (!isDummy) peers.delete(name);
      return 'dummy';
    }
    if (key === 'update_only' && value === 'true') {
      if (isDummy || !isNew) return true;
      peers.delete(name);
      return 'dummy';
    }
    if (key === 'preshared_key' && /^[\da-f]{64}$/i.test(value)) peer.psk = value.toLowerCase();
    else if (key === 'endpoint' && isEndpoint(value)) peer.endpoint = value.replace(/:0*(\d+)$/, ':$1');
    else if (key === 'persistent_keepalive_interval' && isNumber(value, 65_535)) peer.keepalive = Number(value);
    else if (key === 'replace_allowed_ips' && value === 'true') peer.ips = [];
    else if (key === 'allowed_ip' && prefixOf(value.slice(minus)) !== '') {
      const prefix = prefixOf(value.slice(minus));
      const losers = minus === 1 || isDummy ? [peer] : [...peers.values()];
      for (const loser of losers)
        loser.ips = loser.ips.filter((other) => other !== prefix || (loser === peer && minus === 0));
      if (minus === 0 && !peer.ips.includes(prefix)) peer.ips.push(prefix);
    } else return key === 'protocol_version' && value === '1';
    return true;
  }

  #get(): string {
    const { privateKey, listenPort, fwmark, peers } = this.#state;
    const lines: string[] = [];
    if (privateKey !== ZERO) lines.push(`private_key=${privateKey}`);
    if (listenPort !== 0) lines.push(`listen_port=${listenPort}`);
    if (fwmark !== 0) lines.push(`fwmark=${fwmark}`);
    for (const [key, { psk, endpoint, keepalive, ips }] of peers) {
      lines.push(`public_key=${key}`, `preshared_key=${psk}`, 'protocol_version=1');
      if (endpoint !== '') lines.push(`endpoint=${endpoint}`);
      lines.push('last_handshake_time_sec=0', 'last_handshake_time_nsec=0', 'tx_bytes=0', 'rx_bytes=0');
      lines.push(`persistent_keepalive_interval=${keepalive}`, ...ips.map((prefix) => `allowed_ip=${prefix}`));
    }
    return lines.map((line) => `${line}\n`).join('');
  }
}

function isNumber(text: string, most: number): boolean {
  return /^[0-9]+$/.test(text) && Number(text) <= most;
}

function isEndpoint(text: string): boolean {
  const colon = text.lastIndexOf(':');
  const [host, port] = [text.slice(0, colon), text.slice(colon + 1)];
  if (colon < 1 || !isNumber(port, 65_535) || Number(port) === 0) return false;
  const inner = /^\[(.*)\]$/.exec(host)?.[1];
  return inner === undefined ? parseAddress(host)?.length === 4 : parseAddress(inner)?.length === 16;
}

/** The masked prefix as text, or nothing. */
function prefixOf(text: string): string {
  const [host, length, ...rest] = text.split('/');
  const address = parseAddress(host);
  if (address === null || length === undefined || rest.length > 0) return '';
  if (String(Number(length)) !== length || Number(length) > address.length * 8) return '';
  return formatPrefix(maskPrefix({ address, length: Number(length) }));
}

function clamped(hex: string): string {
  if (hex === ZERO) return ZERO;
  const key = Buffer.from(hex, 'hex');
  key[0] &= 248;
  key[31] = (key[31] & 127) | 64;
  return key.toString('hex');
}

const publicKeys = new Map<string, string>();

/** Kept by a digest of the private key, since making it is slow. */
function ownKey({ privateKey }: State): string {
  if (privateKey === ZERO) return '';
  const digest = createHash('sha256').update(privateKey).digest('hex');
  const known = publicKeys.get(digest) ?? Buffer.from(publicKeyOf(Buffer.from(privateKey, 'hex'))).toString('hex');
  publicKeys.set(digest, known);
  return known;
}
