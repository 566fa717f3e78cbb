/** What the host is asked before a link is planned. */
import { describe, expect, it } from 'vitest';
import { deriveMtu, findFreeTable, gatherFacts, isInstalled, linkExists } from '../../src/control/link-facts.ts';
import { fakeRunner } from './support/fakes.ts';

const endpoint = (address: string): { address: string; port: number } => ({ address, port: 51_820 });

describe('the MTU', () => {
  const routes: ReadonlyMap<string, string> = new Map([
    ['route get 192.0.2.1', '192.0.2.1 via 10.0.0.1 dev eth0 src 10.0.0.2 uid 0\\    cache'],
    ['route get 192.0.2.2', '192.0.2.2 dev eth1 src 10.0.0.2 \\    cache mtu 1400'],
    ['route get 192.0.2.3', 'local 192.0.2.3 dev lo'],
    ['route get 192.0.2.4', '192.0.2.4 dev ppp0 \\  cache mtu lock 600'],
    ['route get fe80::1 oif eth0 mark 7', 'fe80::1 dev eth0'],
  ]);
  const runner = fakeRunner((text, { input = '' }) => {
    if (text === 'ip -o -force -batch -') {
      const answers = input.split('\n').flatMap((question) => routes.get(question) ?? []);
      return { status: answers.length < input.split('\n').length - 1 ? 2 : 0, stdout: `${answers.join('\n')}\n` };
    }
    if (text === 'ip -o link show dev eth0') return { stdout: '2: eth0: <UP> mtu 1500 qdisc' };
    if (text === 'ip -o link show dev lo') return { stdout: '1: lo: <UP> mtu 65536 qdisc' };
    return { status: 2, stderr: 'RTNETLINK answers: Network is unreachable' };
  });

  it.each([
    [['192.0.2.1'], 1_420],
    [['192.0.2.2'], 1_320],
    [['192.0.2.1', '192.0.2.2'], 1_320],
    [['192.0.2.3'], 8_920],
    [['192.0.2.4'], 1_280],
    [['203.0.113.1'], 1_420],
    [['203.0.113.1', '192.0.2.2'], 1_320],
    [[], 1_420],
  ])('towards %j is %i', async (addresses, mtu) => {
    expect(await deriveMtu(runner.run, { endpoints: addresses.map(endpoint), mark: 0 })).toBe(mtu);
  });

  it('is asked for with the mark and the zone', async () => {
    expect(await deriveMtu(runner.run, { endpoints: [endpoint('fe80::1%eth0')], mark: 7 })).toBe(1_420);
  });
});

describe('the MTU towards thousands of endpoints', () => {
  it('takes two commands', async () => {
    const { run, commands } = fakeRunner((text, { input = '' }) => {
      if (text.includes('link show')) return { stdout: '2: eth0: <UP> mtu 1480 qdisc' };
      const addresses = [...input.matchAll(/^route get (\S+)$/gm)].map(([, address]) => address);
      return { stdout: addresses.map((address) => `${address} dev eth0 src 10.0.0.2 uid 0 \\    cache\n`).join('') };
    });
    const addresses = Array.from({ length: 5_000 }, (_, at) => endpoint(`198.18.${at >> 8}.${at & 0xff}`));
    expect(await deriveMtu(run, { endpoints: addresses, mark: 0 })).toBe(1_400);
    expect(commands).toHaveLength(2);
  });
});

describe('a routing table', () => {
  it('is free when it has neither routes nor rules', async () => {
    const { run } = fakeRunner((text) => {
      if (text === 'ip -4 route show table 51820') return { stdout: 'default dev wg9 scope link\n' };
      if (text === 'ip -6 route show table 51821') return { stdout: 'default dev wg9 metric 1024\n' };
      if (text === 'ip -6 rule show') return { stdout: '32765: not from all fwmark 0xca6e lookup 51822\n' };
      return { status: text.includes('route show') ? 2 : 0 };
    });
    expect(await findFreeTable(run)).toBe(51_823);
  });
});

describe('facts', () => {
  it('tell which families have the rule', async () => {
    const { run } = fakeRunner((text) =>
      text === 'ip -6 rule show' ? { stdout: '32764:\tfrom all lookup main suppress_prefixlength 0\n' } : null,
    );
    expect(await gatherFacts(run, 51_820)).toMatchObject({ mark: 51_820, suppressing: [6] });
  });

  it('need no look at rules without a mark', async () => {
    const runner = fakeRunner();
    await gatherFacts(runner.run, 0);
    expect(runner.commands).toEqual([]);
  });

  it('know what is installed', () => {
    expect(isInstalled('sh')).toBe(true);
    expect(isInstalled('no-such-program-at-all')).toBe(false);
  });

  it('know whether a link exists', async () => {
    const { run } = fakeRunner((text) => ({ status: text.endsWith('wg0') ? 0 : 1 }));
    expect([await linkExists(run, 'wg0'), await linkExists(run, 'wg1')]).toEqual([true, false]);
  });
});
