/** Random configurations that a file can hold, for round trips. */
import fc from 'fast-check';
import type { HistoryFileSettings, IpPrefix, PeerFileConfig, TunnelConfig } from '../../../src/control/config-types.ts';
import { maskPrefix } from '../../../src/control/ip-text.ts';
import { isPlain } from '../../../src/history/settings.ts';
import { OFFLOAD_NAMES, PEER_OFFLOADS } from '../../../src/offloads/offload-name.ts';

const key: fc.Arbitrary<Uint8Array> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .filter((bytes) => bytes.some((byte) => byte !== 0));

export const prefix: fc.Arbitrary<IpPrefix> = fc.oneof(
  fc.record({ address: fc.uint8Array({ minLength: 4, maxLength: 4 }), length: fc.integer({ min: 0, max: 32 }) }),
  fc.record({ address: fc.uint8Array({ minLength: 16, maxLength: 16 }), length: fc.integer({ min: 0, max: 128 }) }),
);

const port = fc.integer({ min: 1, max: 65_535 });
const word32 = fc.integer({ min: 0, max: 0xffff_ffff });
const command = fc
  .string({ minLength: 1, unit: fc.constantFrom(...'abz 19%i;|&"\'=,<>$().:[]é') })
  .map((text) => text.trim())
  .filter((text) => text !== '');
const commands = fc.array(command, { maxLength: 3 });
const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6());

const percent = fc.integer({ min: 1, max: 100 }).map((whole) => whole / 100);
const path = fc.record({
  name: fc.string({ minLength: 1, maxLength: 15, unit: fc.constantFrom(...'abcZ09-_.') }),
  local: fc.oneof(
    fc.constant({ localAddress: null, localInterface: null }),
    fc.ipV6().map((localAddress) => ({ localAddress, localInterface: null })),
    fc.constantFrom('eth0', 'wwan0.1').map((localInterface) => ({ localAddress: null, localInterface })),
  ),
  endpoint: fc.option(fc.record({ host, port })),
  weight: fc.integer({ min: 1, max: 1_000 }),
  isBackup: fc.boolean(),
});

/** Settings for sending more than once that ask for anything. */
const history: fc.Arbitrary<HistoryFileSettings> = fc
  .record({
    copies: fc.record({
      count: fc.integer({ min: 1, max: 4 }),
      delayMs: fc.integer({ min: 0, max: 1_000 }),
      only: fc.option(
        fc.record({
          ...{ small: fc.boolean(), handshake: fc.constant(true) },
          dscps: fc.subarray([0, 1, 10, 46, 63]),
        }),
      ),
      when: fc.constantFrom('always' as const, 'loss' as const),
      budget: percent,
    }),
    retransmitMs: fc.integer({ min: 0, max: 10_000 }),
    retransmitBudget: percent,
    inOrder: fc.constantFrom('off' as const, 'tcp' as const, 'all' as const),
    holdMs: fc.option(fc.integer({ min: 1, max: 10_000 })),
    fec: fc.oneof(
      fc.record({
        mode: fc.constantFrom('off' as const, 'auto' as const),
        data: fc.constant(10),
        parity: fc.constant(2),
      }),
      fc.record({
        ...{ mode: fc.constant('on' as const), data: fc.integer({ min: 1, max: 32 }) },
        parity: fc.integer({ min: 1, max: 8 }),
      }),
    ),
    fecDelayMs: fc.integer({ min: 1, max: 1_000 }),
    ringBytes: fc.integer({ min: 1, max: 64 }).map((mebibytes) => mebibytes * 1_048_576),
    paths: fc.uniqueArray(path, { maxLength: 4, selector: ({ name }) => name }),
    pathMode: fc.option(fc.constantFrom('follow', 'failover', 'redundant', 'weighted', 'lowest-latency')),
  })
  .map(({ fec, fecDelayMs, paths, ...rest }) => ({
    ...rest,
    fec: { ...fec, delayMs: fecDelayMs },
    paths: paths.map(({ local, ...one }) => ({ ...one, ...local })),
  }))
  .filter((settings) => !isPlain(settings));

const peerWithoutHistory: fc.Arbitrary<PeerFileConfig> = fc.record({
  publicKey: key,
  presharedKey: fc.option(key),
  allowedIps: fc.array(prefix.map(maskPrefix), { maxLength: 5 }),
  endpoint: fc.option(fc.record({ host, port })),
  persistentKeepaliveSeconds: fc.integer({ min: 0, max: 65_535 }),
  offloads: fc.constantFrom(...PEER_OFFLOADS),
  announces: fc.boolean(),
  cipher: fc.constantFrom('auto' as const, 'aes-256-gcm' as const, 'chacha20-poly1305' as const),
});

const peer = fc
  .tuple(peerWithoutHistory, fc.option(history))
  .map(([one, settings]): PeerFileConfig => (settings === null ? one : { ...one, history: settings }));

/** No two peers, and no two prefixes, are the same. */
const peers: fc.Arbitrary<readonly PeerFileConfig[]> = fc
  .uniqueArray(peer, { maxLength: 4, selector: ({ publicKey }) => publicKey.join() })
  .map((all) => {
    const seen = new Set<string>();
    const isNew = ({ address, length }: IpPrefix): boolean => {
      const text = `${address}/${length}`;
      return !seen.has(text) && seen.add(text) !== undefined;
    };
    return all.map((one) => ({ ...one, allowedIps: one.allowedIps.filter(isNew) }));
  });

export const tunnelConfig: fc.Arbitrary<TunnelConfig> = fc.record({
  privateKey: key,
  listenPort: fc.integer({ min: 0, max: 65_535 }),
  fwmark: word32,
  interface: fc.record({
    addresses: fc.array(prefix, { maxLength: 3 }),
    mtu: fc.option(fc.integer({ min: 1_280, max: 65_456 })),
    table: fc.oneof(
      fc.constant('auto' as const),
      fc.constant('off' as const),
      fc.integer({ min: 1, max: 0xffff_ffff }),
    ),
    dnsServers: fc.array(fc.ipV4(), { maxLength: 2 }),
    dnsSearch: fc.array(fc.domain(), { maxLength: 2 }),
    hooks: fc.record({ preUp: commands, postUp: commands, preDown: commands, postDown: commands }),
    saveConfig: fc.boolean(),
  }),
  settings: fc.record({
    lanes: fc.option(fc.integer({ min: 1, max: 64 })),
    memoryCapBytes: fc.option(fc.integer({ min: 1, max: 1_000_000 }).map((megabytes) => megabytes * 1e6)),
    offloads: fc.option(fc.subarray([...OFFLOAD_NAMES])),
    announces: fc.option(fc.boolean()),
    txQueueLength: fc.option(fc.integer({ min: 1, max: 10_000 })),
  }),
  peers,
});
