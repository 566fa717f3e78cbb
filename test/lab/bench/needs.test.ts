/** What a bench leaves out, and what it cannot do without. */
import { describe, expect, it } from 'vitest';
import { leftOutOf, requirePrograms } from '../../../src/lab/bench/needs.ts';

const all = () => true;
const none = () => false;
const but = (missing: string) => (what: string) => !what.endsWith(missing);

describe('subjects', () => {
  it('are all there when everything is installed', () => {
    const subjects = ['veth', 'gigatun', 'wireguard-go'] as const;
    expect(leftOutOf(subjects, all)).toEqual([]);
  });
  it.runIf(process.arch === 'x64').each([
    ['wireguard-go', 'wg', /wg not found; Debian: apt-get install .*wireguard-tools/],
    ['veth-plain', 'ethtool', /ethtool/],
    ['floor', 'Makefile', /source, bench\/floor, is not here/],
    ['floor', 'cc', /cc not found; Debian: apt-get install .*gcc/],
    ['floor-aes', 'intel-ipsec-mb.h', /libipsec-mb-dev/],
  ] as const)('%s is left out without %s, which is named', (name, missing, reason) => {
    expect(leftOutOf(['gigatun', name], but(missing))).toEqual([{ name, reason: expect.stringMatching(reason) }]);
  });
});

describe('programs that make the load', () => {
  it('are required', () => expect(() => requirePrograms(all)).not.toThrow());
  it('are named with their packages, and with what works without them', () => {
    expect(() => requirePrograms(none)).toThrowError(/ip, iperf3, ping.*iproute2 iperf3 iputils-ping.*--stages/);
    expect(() => requirePrograms(but('iperf3'))).toThrowError(/missing here: iperf3\./);
  });
});
