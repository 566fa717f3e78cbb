/** What set-up decides, and that it does nothing on a machine that has everything. */
import { describe, expect, it } from 'vitest';
import {
  isInstallCurrent,
  isNodeNewEnough,
  missingNeeds,
  missingWishes,
  planPackages,
} from '../../scripts/setup-plan.mjs';
import { PROGRAMS } from '../support/tunnel-needs.ts';

const NOTHING = () => false;
const packagesFor = (task: string, arch = 'x64') => missingNeeds(task, arch, NOTHING).map((need) => need.package);

describe('needs', () => {
  it('of the demo are a compiler, iproute2, iperf3 and ping', () => {
    expect(packagesFor('demo')).toEqual(['gcc', 'g++', 'make', 'python3', 'iproute2', 'iperf3', 'iputils-ping']);
  });
  it('of the tests are those of the demo and what the interoperability tests run', () => {
    expect(packagesFor('test')).toEqual(expect.arrayContaining([...packagesFor('demo'), 'wireguard-go', 'nftables']));
    expect(packagesFor('test')).toEqual(expect.arrayContaining(['clang', 'iptables', 'systemd']));
  });
  it('of the tests are all packages that suites in namespaces ask for', () => {
    const packages = new Set(packagesFor('test'));
    // Part of every Debian.
    const present = ['util-linux'];
    expect(Object.values(PROGRAMS).filter((name) => !packages.has(name) && !present.includes(name))).toEqual([]);
  });
  it('of the bench add the library of the rod, where that exists', () => {
    expect(packagesFor('bench')).toContain('libipsec-mb-dev');
    expect(packagesFor('bench', 'arm64')).not.toContain('libipsec-mb-dev');
    expect(packagesFor('test')).not.toContain('libipsec-mb-dev');
    expect(packagesFor('test')).toContain('libipsec-mb1');
    expect(packagesFor('test', 'arm64')).not.toContain('libipsec-mb1');
  });
  it('wishes for the faster AEAD back end where it is not needed and there is one', () => {
    const wishesOf = (task: string, arch: string) => missingWishes(task, arch, NOTHING).map((need) => need.package);
    expect(wishesOf('demo', 'x64')).toEqual(['libipsec-mb1']);
    expect(wishesOf('demo', 'arm64')).toEqual([]);
    expect(wishesOf('test', 'x64')).toEqual(['libclang-rt-dev']);
    expect(missingWishes('demo', 'x64', () => true)).toEqual([]);
    expect(packagesFor('demo')).not.toContain('libipsec-mb1');
  });

  it('that are present are not missing', () => {
    expect(missingNeeds('test', 'x64', () => true)).toEqual([]);
    expect(missingNeeds('demo', 'x64', (find) => find !== 'iperf3').map((need) => need.find)).toEqual(['iperf3']);
  });
});

describe('missing packages', () => {
  const missing = missingNeeds('demo', 'x64', (find) => find !== 'iperf3' && find !== 'ip');
  it('are none: nothing is done', () => {
    expect(planPackages([], { isRoot: true, hasAptGet: true })).toEqual({ kind: 'nothing' });
  });
  it('are installed by root on Debian', () => {
    const plan = planPackages(missing, { isRoot: true, hasAptGet: true });
    expect(plan).toEqual({ kind: 'install', packages: ['iproute2', 'iperf3'] });
  });
  it('are named to a user, with what each is for and the command', () => {
    const plan = planPackages(missing, { isRoot: false, hasAptGet: true });
    expect(plan).toMatchObject({ kind: 'tell', packages: ['iproute2', 'iperf3'] });
    expect(plan.kind === 'tell' && plan.text).toMatch(
      /iperf3 .*makes the load[\s\S]*sudo apt-get install --no-install-recommends iproute2 iperf3/,
    );
  });
  it('are named to root of another system, without a command that it does not have', () => {
    const plan = planPackages(missing, { isRoot: true, hasAptGet: false });
    expect(plan.kind === 'tell' && plan.text).toContain('Debian package iproute2');
    expect(plan.kind === 'tell' && plan.text).not.toContain('apt-get');
  });
});

it.each([
  ['v20.19.0', true],
  ['v20.20.2', true],
  ['v22.0.0', true],
  ['v20.18.9', false],
  ['v18.20.0', false],
])('Node.js %s is new enough: %s', (version, enough) => expect(isNodeNewEnough(version)).toBe(enough));

describe('installed npm packages', () => {
  const lock = {
    packages: {
      '': { version: '0.1.0' },
      'node_modules/a': { version: '1.0.0' },
      'node_modules/b-linux-arm': { version: '2.0.0', optional: true },
    },
  };
  const a = { 'node_modules/a': { version: '1.0.0' } };
  it('are current when all are there, those of other platforms left out', () => {
    expect(isInstallCurrent(lock, { packages: a })).toBe(true);
  });
  it.each([
    ['nothing is installed', null],
    ['one is missing', { packages: {} }],
    ['one has another version', { packages: { 'node_modules/a': { version: '1.0.1' } } }],
    ['one is there that should not be', { packages: { ...a, 'node_modules/c': { version: '1.0.0' } } }],
    ['an optional one has another version', { packages: { ...a, 'node_modules/b-linux-arm': { version: '1.9.0' } } }],
  ])('are stale when %s', (_, installed) => expect(isInstallCurrent(lock, installed)).toBe(false));
});
