/** The answer to `get`: its order, its omissions, its own keys, its length, and that no key stays in its memory. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviceSettings, PeerSettings } from '../../src/control/device-change.ts';
import { formatPrefix, maskPrefix } from '../../src/control/ip-text.ts';
import { formatErrno, formatSettings, PAGE_BYTES, wipeSettings } from '../../src/uapi/answer.ts';
import { prefix } from '../control/support/arbitrary-config.ts';

const EMPTY: DeviceSettings = { privateKey: null, listenPort: 0, fwmark: 0, peers: [] };
const QUIET: PeerSettings = {
  publicKey: new Uint8Array(32).fill(0x0a),
  presharedKey: null,
  endpoint: null,
  latestHandshakeMs: 0,
  txBytes: 0,
  rxBytes: 0,
  persistentKeepaliveSeconds: 0,
  allowedIps: [],
};
const ZERO = '0'.repeat(64);

function format(settings: DeviceSettings): string {
  let text = '';
  for (const piece of formatSettings(settings)) text += Buffer.from(piece).toString('latin1');
  return text;
}

function peerLines(part: Partial<PeerSettings>): string[] {
  return format({ ...EMPTY, peers: [{ ...QUIET, ...part }] }).split('\n');
}

describe('the answer to get', () => {
  it('is empty for a device that nobody has told anything', () => {
    expect(format(EMPTY)).toBe('');
    expect(formatErrno(0)).toBe('errno=0\n\n');
    expect(formatErrno(-22)).toBe('errno=-22\n\n');
  });

  it('has the lines of the device in wireguard-go’s order, each only if it says something', () => {
    const privateKey = Uint8Array.from({ length: 32 }, (_, at) => at * 8);
    expect(format({ ...EMPTY, privateKey, listenPort: 51_820, fwmark: 0xffff_ffff })).toBe(
      `private_key=${Buffer.from(privateKey).toString('hex')}\nlisten_port=51820\nfwmark=4294967295\n`,
    );
    expect(format({ ...EMPTY, fwmark: 1 })).toBe('fwmark=1\n');
  });

  it('has all lines of a peer but the endpoint even where they say nothing', () => {
    expect(peerLines({})).toEqual([
      `public_key=${'0a'.repeat(32)}`,
      `preshared_key=${ZERO}`,
      'protocol_version=1',
      'last_handshake_time_sec=0',
      'last_handshake_time_nsec=0',
      'tx_bytes=0',
      'rx_bytes=0',
      'persistent_keepalive_interval=0',
      '',
    ]);
  });

  it('has the lines of a peer in wireguard-go’s order, and ours behind them', () => {
    const lines = peerLines({
      presharedKey: new Uint8Array(32).fill(0xfe),
      endpoint: { address: '192.0.2.1', port: 51_820 },
      latestHandshakeMs: 1_700_000_000_123,
      txBytes: 2 ** 53 - 1,
      rxBytes: 148,
      persistentKeepaliveSeconds: 25,
      allowedIps: [prefixOf('10.0.0.0', 8), { address: new Uint8Array(16), length: 0 }],
      isGigatun: true,
      cipher: 'aes-256-gcm',
    });
    expect(lines.slice(1)).toEqual([
      `preshared_key=${'fe'.repeat(32)}`,
      'protocol_version=1',
      'endpoint=192.0.2.1:51820',
      'last_handshake_time_sec=1700000000',
      'last_handshake_time_nsec=123000000',
      'tx_bytes=9007199254740991',
      'rx_bytes=148',
      'persistent_keepalive_interval=25',
      'allowed_ip=10.0.0.0/8',
      'allowed_ip=::/0',
      'gigatun_peer=true',
      'gigatun_cipher=aes-256-gcm',
      '',
    ]);
  });

  it('has IPv6 endpoints in brackets, with their zone', () => {
    expect(peerLines({ endpoint: { address: '2001:db8::1', port: 1 } })).toContain('endpoint=[2001:db8::1]:1');
    expect(peerLines({ endpoint: { address: 'fe80::1%3', port: 1 } })).toContain('endpoint=[fe80::1%3]:1');
  });

  it('is whole and in order however long it is, in pieces of bounded length', () => {
    const peer = fc.record({
      publicKey: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      presharedKey: fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 })),
      allowedIps: fc.array(prefix.map(maskPrefix), { maxLength: 30 }),
    });
    fc.assert(
      fc.property(fc.array(peer, { maxLength: 5 }), fc.integer({ min: 1, max: 300 }), (some, times) => {
        const peers = Array.from({ length: times }, () => some).flat();
        const settings = { ...EMPTY, peers: peers.map((part) => ({ ...QUIET, ...part })) };
        const wanted = peers.flatMap(({ publicKey, presharedKey, allowedIps }) => [
          `public_key=${Buffer.from(publicKey).toString('hex')}`,
          `preshared_key=${presharedKey === null ? ZERO : Buffer.from(presharedKey).toString('hex')}`,
          ...allowedIps.map((allowed) => `allowed_ip=${formatPrefix(allowed)}`),
        ]);
        const lines = format(settings).split('\n');
        expect(lines.filter((line) => /^(public_key|preshared_key|allowed_ip)=/.test(line))).toEqual(wanted);
        for (const piece of formatSettings(settings)) expect(piece.length).toBeLessThanOrEqual(PAGE_BYTES);
      }),
      { numRuns: 60 },
    );
  });

  it('leaves no key behind, neither when it was taken whole nor when nobody wanted the rest', () => {
    const privateKey = new Uint8Array(32).fill(7);
    const presharedKey = new Uint8Array(32).fill(8);
    const settings = { ...EMPTY, privateKey, peers: Array.from({ length: 1_000 }, () => ({ ...QUIET, presharedKey })) };
    const pages: Uint8Array[] = [...formatSettings(settings)];
    for (const piece of formatSettings(settings)) {
      pages.push(piece);
      break;
    }
    expect(pages.length).toBeGreaterThan(3);
    for (const page of pages) expect(page.every((byte) => byte === 0)).toBe(true);
    wipeSettings(settings);
    expect([...privateKey, ...presharedKey].every((byte) => byte === 0)).toBe(true);
  });
});

function prefixOf(text: string, length: number): { address: Uint8Array; length: number } {
  return { address: Uint8Array.from(text.split('.'), Number), length };
}
