/** The difference of a running device and a file, applied to a model of the device: it becomes what the file says. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packPeers, unpackPeers } from '../../src/control/applied.ts';
import type { NumericEndpoint, PeerFileConfig, TunnelConfig } from '../../src/control/config-types.ts';
import { type DeviceDifference, deviceDifference, matchPeers } from '../../src/control/difference.ts';
import { formatPrefix } from '../../src/control/ip-text.ts';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import type { HistorySettings } from '../../src/history/settings.ts';
import { tunnelConfig } from './support/arbitrary-config.ts';
import { type ModelDevice, modelDevice } from './support/model-device.ts';

/** Any host has an address of its own, the same each time. */
function addressOf(host: string): string {
  const bytes = [...Buffer.from(host)].reduce((sum, byte) => (sum * 31 + byte) % 0xffffff, 7);
  return `10.${bytes >> 16}.${(bytes >> 8) & 255}.${bytes & 255}`;
}

function numeric({ endpoint }: PeerFileConfig): NumericEndpoint | null {
  return endpoint && { address: addressOf(endpoint.host), port: endpoint.port };
}

function numericHistory({ history = null }: PeerFileConfig): HistorySettings | null {
  const paths = history?.paths.map(({ endpoint, ...path }) => {
    return { ...path, endpoint: endpoint && { address: addressOf(endpoint.host), port: endpoint.port } };
  });
  return history && { ...history, paths: paths ?? [] };
}

function deviceOf(config: TunnelConfig): ModelDevice {
  return modelDevice({
    ...config,
    peers: config.peers.map((peer) => ({ ...peer, endpoint: numeric(peer), history: numericHistory(peer) })),
  });
}

/** From a device that runs with one file to another file. */
function difference(device: ModelDevice, before: TunnelConfig, after: TunnelConfig): DeviceDifference {
  const matches = matchPeers(device.settings(), unpackPeers(packPeers(before.peers)), after.peers);
  const endpoints = matches.flatMap(({ key, moves, isHistoryNew, wanted }) => {
    if (wanted === null) return [];
    const endpoint = moves ? numeric(wanted) : null;
    return [[key, { endpoint, history: isHistoryNew ? numericHistory(wanted) : null }] as const];
  });
  return deviceDifference(device.settings(), after, matches, new Map(endpoints));
}

/** What counts of a device, in one form. */
function facts(device: ModelDevice, port: number): unknown {
  const { privateKey, listenPort, fwmark } = device.settings();
  const peers = [...device.peers].map(([key, peer]) => ({
    ...peer,
    key,
    session: null,
    presharedKey: peer.presharedKey && formatKey(peer.presharedKey),
    allowedIps: [...peer.allowedIps.keys()].sort(),
  }));
  peers.sort((left, right) => (left.key < right.key ? -1 : 1));
  return { key: privateKey && formatKey(publicKeyOf(privateKey)), port: port === 0 ? 0 : listenPort, fwmark, peers };
}

/** Pairs of files that share some of their peers, changed or not. */
const pairs = fc
  .tuple(tunnelConfig, tunnelConfig, fc.infiniteStream(fc.integer({ min: 0, max: 3 })))
  .map(([before, other, dice]): [TunnelConfig, TunnelConfig] => {
    const kept = before.peers.flatMap((peer) => {
      const dealt = other.peers.find(() => dice.next().value === 0);
      switch (dice.next().value) {
        case 0:
          return [];
        case 1:
          return [peer];
        default:
          return dealt === undefined ? [peer] : [{ ...dealt, allowedIps: [], publicKey: peer.publicKey }];
      }
    });
    const names = new Set(kept.map(({ publicKey }) => formatKey(publicKey)));
    const taken = new Set(kept.flatMap(({ allowedIps }) => allowedIps.map(formatPrefix)));
    const added = other.peers
      .filter(({ publicKey }) => !names.has(formatKey(publicKey)))
      .map((peer) => ({ ...peer, allowedIps: peer.allowedIps.filter((prefix) => !taken.has(formatPrefix(prefix))) }));
    return [before, { ...other, peers: [...kept, ...added] }];
  });

describe('the difference', () => {
  it('makes of any device what any file says', () => {
    fc.assert(
      fc.property(pairs, ([before, after]) => {
        const device = deviceOf(before);
        const { change } = difference(device, before, after);
        device.configure(change);
        // A peer that loses its endpoint in the file keeps it: no protocol takes one away.
        const wanted = deviceOf({
          ...after,
          peers: after.peers.map((peer) => {
            const old = before.peers.find(({ publicKey }) => formatKey(publicKey) === formatKey(peer.publicKey));
            return { ...peer, endpoint: peer.endpoint ?? old?.endpoint ?? null };
          }),
        });
        expect(facts(device, after.listenPort)).toEqual(facts(wanted, after.listenPort));
      }),
    );
  });

  it('of a device and its own file is empty, in change and in words', () => {
    fc.assert(
      fc.property(tunnelConfig, (config) => {
        const { change, lines } = difference(deviceOf(config), config, config);
        expect(change).toEqual({});
        expect(lines).toEqual([]);
      }),
    );
  });

  it('leaves the sessions of all peers that stay, and names no other peers', () => {
    fc.assert(
      fc.property(pairs, ([before, after]) => {
        const device = deviceOf(before);
        const sessions = new Map([...device.peers].map(([key, { session }]) => [key, session]));
        device.configure(difference(device, before, after).change);
        for (const { publicKey } of after.peers) {
          const key = formatKey(publicKey);
          if (sessions.has(key)) expect(device.peers.get(key)?.session).toBe(sessions.get(key));
        }
      }),
    );
  });

  it('says no key but public ones', () => {
    fc.assert(
      fc.property(pairs, ([before, after]) => {
        const text = difference(deviceOf(before), before, after)
          .lines.map((line) => line.text)
          .join('\n');
        for (const { privateKey, peers } of [before, after]) {
          expect(text).not.toContain(formatKey(privateKey));
          for (const { presharedKey } of peers) if (presharedKey) expect(text).not.toContain(formatKey(presharedKey));
        }
      }),
    );
  });
});

describe('what is kept of a file', () => {
  it('comes out as it went in', () => {
    fc.assert(
      fc.property(tunnelConfig, ({ peers }) => {
        const unpacked = [...unpackPeers(packPeers(peers))];
        expect(unpacked).toEqual(
          peers.map(({ publicKey, endpoint, allowedIps, offloads, announces, cipher, history = null }) => [
            formatKey(publicKey),
            { endpoint, allowedIps, offloads, announces, cipher, history },
          ]),
        );
      }),
    );
  });

  it('holds no secret, and takes some dozens of bytes per peer', () => {
    const presharedKey = generatePrivateKey();
    const peers = Array.from({ length: 1_000 }, (_, at) => ({
      ...{ publicKey: publicKeyOf(generatePrivateKey()), presharedKey, persistentKeepaliveSeconds: 25 },
      endpoint: { host: `peer-${at}.example`, port: 51_820 },
      allowedIps: [{ address: Uint8Array.from([10, 1, at >> 8, at & 255]), length: 32 }],
    }));
    const packed = packPeers(peers);
    const columns = [packed.keys, packed.choices, packed.prefixCounts, packed.prefixes];
    const bytes = columns.reduce((sum, { byteLength }) => sum + byteLength, packed.endpoints.length);
    expect(bytes / peers.length).toBeLessThan(100);
    for (const column of columns) expect(Buffer.from(column.buffer).includes(Buffer.from(presharedKey))).toBe(false);
  });
});

describe('in words', () => {
  const [key, presharedKey] = [Uint8Array.from({ length: 32 }, (_, at) => at + 1), generatePrivateKey()];
  const peer: PeerFileConfig = {
    ...{ publicKey: key, presharedKey: null, persistentKeepaliveSeconds: 0, offloads: 'auto', announces: true },
    ...{ cipher: 'auto', endpoint: { host: 'a.example', port: 1 } },
    allowedIps: [prefix(10, 0, 0, 2)],
  };
  const config = fc.sample(tunnelConfig, { numRuns: 1, seed: 1 })[0] as TunnelConfig;

  function prefix(...address: number[]): PeerFileConfig['allowedIps'][number] {
    return { address: Uint8Array.from(address), length: 32 };
  }

  function words(before: readonly PeerFileConfig[], after: readonly PeerFileConfig[]): string[] {
    const [from, to] = [before, after].map((peers) => ({ ...config, peers })) as [TunnelConfig, TunnelConfig];
    return difference(deviceOf(from), from, to).lines.map(({ sign, text }) => `${sign} ${text}`);
  }

  it.each<[string, readonly PeerFileConfig[], readonly PeerFileConfig[], string]>([
    ['a new peer', [], [peer], '+ peer KEY 10.0.0.2/32 endpoint a.example:1'],
    [
      'a new peer with everything',
      [],
      [{ ...peer, presharedKey, persistentKeepaliveSeconds: 25, endpoint: { host: '::1', port: 2 } }],
      '+ peer KEY 10.0.0.2/32 endpoint [::1]:2 with a preshared key keepalive 25',
    ],
    ['a peer that goes', [peer], [], '- peer KEY'],
    [
      'an endpoint',
      [peer],
      [{ ...peer, endpoint: { host: 'b.example', port: 1 } }],
      '~ peer KEY endpoint a.example:1 -> b.example:1',
    ],
    ['a new preshared key', [peer], [{ ...peer, presharedKey }], '~ peer KEY preshared key set'],
    [
      'another preshared key',
      [{ ...peer, presharedKey: key }],
      [{ ...peer, presharedKey }],
      '~ peer KEY preshared key changed',
    ],
    ['no preshared key any more', [{ ...peer, presharedKey }], [peer], '~ peer KEY preshared key removed'],
    [
      'prefixes',
      [peer],
      [{ ...peer, allowedIps: [prefix(10, 0, 0, 3)] }],
      '~ peer KEY allowed ips -10.0.0.2/32 +10.0.0.3/32',
    ],
    [
      'many prefixes',
      [{ ...peer, allowedIps: [] }],
      [{ ...peer, allowedIps: Array.from({ length: 12 }, (_, at) => prefix(10, 0, 1, at)) }],
      `~ peer KEY allowed ips ${Array.from({ length: 8 }, (_, at) => `+10.0.1.${at}/32`).join(' ')} and 4 more`,
    ],
    [
      'all settings beyond WireGuard',
      [peer],
      [{ ...peer, persistentKeepaliveSeconds: 5, offloads: 'none', announces: false, cipher: 'aes-256-gcm' }],
      '~ peer KEY keepalive 0 -> 5, offloads auto -> none, announce on -> off, cipher auto -> aes-256-gcm',
    ],
  ])('%s', (_, before, after, line) => {
    expect(words(before, after)).toEqual([line.replace('KEY', formatKey(key))]);
  });

  it('a peer that has roamed stays where it is, and one that the file moves goes there', () => {
    const from = { ...config, peers: [peer] };
    const device = deviceOf(from);
    const roamed = { address: '192.0.2.99', port: 9 };
    device.configure({ peers: [{ publicKey: key, endpoint: roamed }] });
    expect(difference(device, from, from).lines).toEqual([]);
    const moved = { ...from, peers: [{ ...peer, endpoint: { host: 'b.example', port: 1 } }] };
    device.configure(difference(device, from, moved).change);
    expect(device.peers.get(formatKey(key))?.endpoint).toEqual({ address: addressOf('b.example'), port: 1 });
  });

  it('a peer that somebody else added goes, and one that somebody removed comes back', () => {
    const from = { ...config, peers: [peer] };
    const device = deviceOf(from);
    const other = publicKeyOf(generatePrivateKey());
    device.configure({ peers: [{ publicKey: other }, { publicKey: key, remove: true }] });
    const { change, lines } = difference(device, from, from);
    expect(lines.map(({ sign }) => sign)).toEqual(['-', '+']);
    device.configure(change);
    expect([...device.peers.keys()]).toEqual([formatKey(key)]);
  });

  it('port, mark and public key, and no port where the file has none', () => {
    const from = { ...config, listenPort: 5, fwmark: 0, peers: [] };
    const to = { ...from, privateKey: generatePrivateKey(), listenPort: 6, fwmark: 0x10 };
    const device = deviceOf(from);
    const text = difference(device, from, to).lines.map((line) => line.text);
    const [old, fresh] = [from, to].map(({ privateKey }) => formatKey(publicKeyOf(privateKey)));
    expect(text).toEqual([`public key ${old} -> ${fresh}`, 'listen port 5 -> 6', 'fwmark off -> 0x10']);
    expect(difference(device, from, { ...from, listenPort: 0 }).lines).toEqual([]);
  });
});
