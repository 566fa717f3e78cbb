/**
 * Many allowed IPs and many peers, through `wg` in and out.
 *
 *     [ in1: 10.88.0.1 fd88::1 TUN ]--a :1--( lo )--b :2--[ TUN 10.88.0.2 fd88::2 :in2 ]
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { formatKey, generatePrivateKey } from '../../src/control/key-text.ts';
import { run } from '../../src/lab/process.ts';
import { allowedIps, type Classic, inner, netnsSuite, openClassic } from '../support/netns-site.ts';
import { echoes, expectEcho } from '../support/netns-traffic.ts';

/** 255 × 256 of each family. */
const PREFIXES_OF_FAMILY = 65_280;
/** A command-line word is at most 128 KiB long. */
const PREFIXES_IN_A_WORD = 5_000;
const PEERS = 1_000;
const TIMEOUT_MS = 120_000;

netnsSuite('many', [], (pairing) => {
  let classic: Classic;
  beforeAll(async () => {
    classic = await openClassic(pairing);
  });
  afterAll(async () => await classic?.site.close());

  it('allowed IPs: 130,560 in one `wg set` are read back, route, and go again', { timeout: TIMEOUT_MS }, async () => {
    const { a, b, birth } = classic;
    const prefixes = manyPrefixes();
    const words = Array.from({ length: Math.ceil(prefixes.length / PREFIXES_IN_A_WORD) }, (_, index) => [
      'allowed-ips',
      prefixes.slice(index * PREFIXES_IN_A_WORD, (index + 1) * PREFIXES_IN_A_WORD).join(','),
    ]);
    await a.setPeer(b, ...words.flat());
    const expected = prefixes.map(withLength).sort();
    const shown = (await a.showPeer(b, 'allowed-ips'))[0]?.split(' ') ?? [];
    expect(shown.length).toBe(2 * PREFIXES_OF_FAMILY);
    expectSame(shown.sort(), expected);
    const { stdout: config } = await run(['wg', 'showconf', a.name]);
    const written = [...config.matchAll(/^AllowedIPs = (.*)$/gm)].flatMap(([, list = '']) => list.split(', '));
    expectSame(written.sort(), expected);
    // The file is as good as the command.
    await a.setPeer(b, 'allowed-ips', allowedIps(2));
    await run(['wg', 'setconf', a.name, a.write('conf', config)]);
    expectSame(((await a.showPeer(b, 'allowed-ips'))[0]?.split(' ') ?? []).sort(), expected);

    a.namespace.ip(`route add default dev ${a.name}`, `route add ::/0 dev ${a.name}`);
    const sample = ['1.0.0.0', '1.0.128.7', '1.0.254.255', '1::', '1::80:7', '1::fe:ff'];
    for (const address of sample) {
      const length = address.includes(':') ? 128 : 32;
      b.namespace.ip(`addr add ${address}/${length} dev ${b.name}${length === 128 ? ' nodad' : ''}`);
      await expectEcho(a.namespace, address);
    }
    expect(await echoes(a.namespace, '1.0.255.0', { waitSeconds: 0.3 })).toBe(0);
    expect(birth.hasDevice('lo')).toBe(true);
    await a.setPeer(b, 'allowed-ips', allowedIps(2));
    expect(await a.showPeer(b, 'allowed-ips')).toEqual([allowedIps(2).replace(',', ' ')]);
    expect(await echoes(a.namespace, '1.0.0.0', { waitSeconds: 0.3 })).toBe(0);
    await expectEcho(a.namespace, inner(2, 6));
  });

  it('peers: 1,000 come and go in one `wg set` each beside one that talks', { timeout: TIMEOUT_MS }, async () => {
    const { a, b } = classic;
    const keys = Array.from({ length: PEERS }, () => formatKey(generatePrivateKey()));
    const added = keys.flatMap((key, index) => [
      'peer',
      key,
      'allowed-ips',
      `10.89.${index >> 8}.${index & 255}/32,fd89::${index.toString(16)}/128`,
      'endpoint',
      `127.0.0.1:${10_000 + index}`,
      'persistent-keepalive',
      '600',
    ]);
    await a.set(...added);
    const shown = await a.show('allowed-ips');
    expect(shown.length).toBe(PEERS + 1);
    expect(new Map(shown.map(([key = '', list]) => [key, list])).get(keys[999] ?? '')).toBe(
      '10.89.3.231/32 fd89::3e7/128',
    );
    await expectEcho(a.namespace, inner(2, 4));
    await a.set(...keys.slice(0, PEERS / 2).flatMap((key) => ['peer', key, 'remove']));
    expect((await a.show('peers')).length).toBe(PEERS / 2 + 1);
    await expectEcho(b.namespace, inner(1, 6));
    await a.set(...keys.flatMap((key) => ['peer', key, 'remove']));
    expect(await a.show('peers')).toEqual([[b.publicKey]]);
    await expectEcho(a.namespace, inner(2, 4));
  });
});

/** As short as they can be written: a command line has an end. */
function manyPrefixes(): string[] {
  return Array.from({ length: 255 }, (_, high) =>
    Array.from({ length: 256 }, (_, low) => [`1.0.${high}.${low}`, `1::${high.toString(16)}:${low.toString(16)}`]),
  ).flat(2);
}

/** As the kernel's inet_ntop writes it, with its length. */
function withLength(address: string): string {
  if (!address.includes(':')) return `${address}/32`;
  return `${address.replace(/^1::0:0$/, '1::').replace(/^1::0:/, '1::')}/128`;
}

/** Compares long lists without printing them. */
function expectSame(got: readonly string[], expected: readonly string[]): void {
  const wrong = got.findIndex((item, index) => item !== expected[index]);
  expect([got.length, wrong === -1 ? '' : `${got[wrong]} instead of ${expected[wrong]}`]).toEqual([
    expected.length,
    '',
  ]);
}
