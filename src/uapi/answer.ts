/**
 * The answer to `get`: the device's settings as lines, in wireguard-go's order and with its omissions, so that whoever
 * reads wireguard-go reads this. It is made in one page of bytes that is used again and zeroed at the end, since private
 * and preshared keys are in it; an answer of any length takes no more memory.
 *
 * Keys of our own begin with `gigatun_`, stand behind a peer's other lines, and hold no `=`: readers skip them.
 */
import type { DeviceSettings, PeerSettings } from '../control/device-change.ts';
import { formatPrefix } from '../control/ip-text.ts';
import { KEY_LENGTH } from '../control/key-text.ts';

/** Bytes of a page. */
export const PAGE_BYTES = 65_536;
/** No line is longer: names have 29 bytes at most, keys 64, endpoints about 70. */
const LINE_BYTES_MAX = 256;

const HEX_DIGITS: Uint8Array = Buffer.from('0123456789abcdef');
const NEWLINE = 10;
const NO_KEY: Uint8Array = new Uint8Array(KEY_LENGTH);

/**
 * Writes settings as the lines of a `get` answer, without its `errno=0`.
 *
 * @returns pieces of the text, each valid until the next is asked for; take them all, or call `return`, for then the page
 *   is zeroed.
 */
export function* formatSettings(settings: DeviceSettings): Generator<Uint8Array, void, void> {
  const page = new Page();
  try {
    writeDevice(page, settings);
    for (const peer of settings.peers) {
      if (page.isNearlyFull) yield page.take();
      writePeer(page, peer);
      for (const prefix of peer.allowedIps) {
        if (page.isNearlyFull) yield page.take();
        page.line('allowed_ip', formatPrefix(prefix));
      }
      writeExtensions(page, peer);
    }
    if (!page.isEmpty) yield page.take();
  } finally {
    page.wipe();
  }
}

/** The end of each answer: `errno=0`, or what went wrong, in the sign that fits the operation. */
export function formatErrno(errno: number): string {
  return `errno=${errno}\n\n`;
}

/** Zeroes the secrets of settings. */
export function wipeSettings(settings: DeviceSettings): void {
  settings.privateKey?.fill(0);
  for (const { presharedKey } of settings.peers) presharedKey?.fill(0);
}

function writeDevice(page: Page, { privateKey, listenPort, fwmark }: DeviceSettings): void {
  if (privateKey !== null) page.key('private_key', privateKey);
  if (listenPort !== 0) page.line('listen_port', listenPort);
  if (fwmark !== 0) page.line('fwmark', fwmark);
}

/** A time in milliseconds is whole here; the rest of the seconds is given in nanoseconds. */
function writePeer(page: Page, peer: PeerSettings): void {
  const { endpoint, latestHandshakeMs } = peer;
  page.key('public_key', peer.publicKey);
  page.key('preshared_key', peer.presharedKey ?? NO_KEY);
  page.line('protocol_version', 1);
  if (endpoint !== null) page.line('endpoint', formatEndpoint(endpoint.address, endpoint.port));
  page.line('last_handshake_time_sec', Math.floor(latestHandshakeMs / 1_000));
  page.line('last_handshake_time_nsec', Math.floor(latestHandshakeMs % 1_000) * 1_000_000);
  page.line('tx_bytes', peer.txBytes);
  page.line('rx_bytes', peer.rxBytes);
  page.line('persistent_keepalive_interval', peer.persistentKeepaliveSeconds);
}

/** What WireGuard has no word for. */
function writeExtensions(page: Page, { isGigatun = false, cipher = null }: PeerSettings): void {
  if (isGigatun) page.line('gigatun_peer', 'true');
  if (cipher !== null) page.line('gigatun_cipher', cipher);
}

function formatEndpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

class Page {
  readonly #bytes: Buffer = Buffer.alloc(PAGE_BYTES);
  #length = 0;

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** Whether the lines of a peer, its prefixes aside, might not fit any more. */
  get isNearlyFull(): boolean {
    return this.#length > PAGE_BYTES - 12 * LINE_BYTES_MAX;
  }

  line(name: string, value: string | number): void {
    this.#length += this.#bytes.write(`${name}=${value}\n`, this.#length, 'latin1');
  }

  key(name: string, key: Uint8Array): void {
    this.#length += this.#bytes.write(`${name}=`, this.#length, 'latin1');
    for (const byte of key) {
      this.#bytes[this.#length] = HEX_DIGITS[byte >> 4];
      this.#bytes[this.#length + 1] = HEX_DIGITS[byte & 15];
      this.#length += 2;
    }
    this.#bytes[this.#length] = NEWLINE;
    this.#length += 1;
  }

  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }

  wipe(): void {
    this.#bytes.fill(0);
  }
}
