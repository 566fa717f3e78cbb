/**
 * `gigatun doctor` on this machine: alone, without privilege, and with a tunnel that carries TCP.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Check, GROUPS } from '../../src/doctor/check.ts';
import { CLI, type GigatunEnd, openGigatun } from '../../src/lab/gigatun-end.ts';
import { runTcp } from '../../src/lab/iperf.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { innerRoute, type Pair, planPair } from '../../src/lab/pair.ts';
import { type Finished, run } from '../../src/lab/process.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

interface Report {
  readonly schema: number;
  readonly version: string;
  readonly takenAtMs: number;
  readonly status: string;
  readonly checks: readonly Check[];
  readonly limit: { readonly id: string; readonly interface: string | null; readonly how: string };
}

let lab: Lab;
let pair: Pair;
let ends: readonly GigatunEnd[] = [];

/** Both ends have a run directory of their own; the doctor runs outside of their namespaces. */
function directoryOf(side: 'a' | 'b'): string {
  return join(lab.directory, `run-${pair[side].device}`);
}

async function doctor(directory: string, ...args: string[]): Promise<Finished> {
  const env = { GIGATUN_RUN_DIR: directory, GIGATUN_AEAD: '' };
  return await run([process.execPath, CLI, 'doctor', ...args], { mayFail: true, env });
}

function parse(stdout: string): Report {
  return JSON.parse(stdout) as Report;
}

function find({ checks }: Report, id: string, name: string | null = null): Check | undefined {
  return checks.find((check) => check.id === id && check.interface === name);
}

tunnelSuite('gigatun doctor', ['iperf3', 'ping'], () => {
  beforeAll(async () => {
    lab = new Lab();
    pair = planPair(lab, { persistentKeepaliveSeconds: 1 });
    ends = await Promise.all([openGigatun(lab, pair.a), openGigatun(lab, pair.b)]);
    // The first handshake may find the other end not there yet; it is tried again within 5 s.
    await pair.a.namespace.run(['ping', '-c', '1', '-w', '15', pair.b.inner4]);
  });
  afterAll(async () => {
    await Promise.all(ends.map((end) => end.close()));
    lab.close();
  });

  describe('without a tunnel', testMachine);
  describe('with a tunnel', testTunnel);
});

function testMachine(): void {
  it('looks at each group of checks and says why, as JSON', async () => {
    const { code, stdout } = await doctor(lab.directory, '--json', '--watch', '0.1');
    const report = parse(stdout);
    expect(code).toBe(report.status === 'fail' ? 1 : 0);
    expect(report.schema).toBe(1);
    expect(Math.abs(report.takenAtMs - Date.now())).toBeLessThan(60_000);
    expect([...new Set(report.checks.map(({ group }) => group))]).toEqual(GROUPS.filter((name) => name !== 'tunnel'));
    for (const check of report.checks) {
      expect(check).toMatchObject({ interface: null, status: expect.stringMatching(/^(ok|note|warn|fail)$/) });
      expect(check.value).not.toBe('');
      expect(check.reason).not.toBe('');
      if (check.status === 'warn' || check.status === 'fail') expect(check.advice).toEqual(expect.any(String));
    }
    const ids = report.checks.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(report.limit.interface).toBeNull();
    expect(report.limit.how).not.toBe('');
  });

  it('really makes an interface, sends datagrams and seals, and leaves nothing behind', async () => {
    const before = readdirSync('/sys/class/net');
    const report = parse((await doctor(lab.directory, '--json', '--watch', '0.1')).stdout);
    expect(readdirSync('/sys/class/net')).toEqual(before);
    expect(find(report, 'tun-device')).toMatchObject({ status: 'ok', value: '/dev/net/tun' });
    expect(find(report, 'udp-gso')?.value).toMatch(/^(64|128) datagrams a send$/);
    expect(find(report, 'udp-gro')?.value).toMatch(/^(64|128) datagrams in \d+ receives?$/);
    expect(find(report, 'aead-cost')?.value).toMatch(/openssl \d+\.\d+ µs/);
    expect(find(report, 'aead-cost-aes')?.value).toMatch(/openssl \d+\.\d+ µs/);
    expect(find(report, 'cipher')?.value).toMatch(/^(AES-256-GCM|ChaCha20-Poly1305), \d+\.\d\d times as fast$/);
    expect(find(report, 'clock-source')?.value).toMatch(/, \d+ ns a reading$/);
    expect(find(report, 'cores')?.value).toMatch(/core/);
  });

  it('tells a person the same in aligned rows, the limit last', async () => {
    const { stdout, stderr } = await doctor(lab.directory, '--watch', '0.1');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^system\n {2}(ok|note|warn) {1,4} kernel +Linux /);
    expect(stdout).toMatch(/\nA tunnel runs .*: .*\d+ ok\.\nLimits throughput most: [\s\S]*because [\s\S]*\n$/);
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
  });

  it('fails, and says so, for an interface that does not run', async () => {
    const { code, stdout } = await doctor(lab.directory, 'wg-nobody', '--json', '--watch', '0.1');
    const report = parse(stdout);
    expect({ code, status: report.status }).toEqual({ code: 1, status: 'fail' });
    expect(find(report, 'running', 'wg-nobody')).toMatchObject({ status: 'fail', value: 'not running' });
    expect(report.limit).toMatchObject({ id: 'running', interface: 'wg-nobody' });
  });

  it('refuses what it does not know with exit code 2', async () => {
    for (const args of [['--nonsense'], ['--watch', '0'], ['--watch', '61'], ['a', 'b'], ['--json', '../x']])
      expect((await doctor(lab.directory, ...args)).code).toBe(2);
  });

  it('goes on without privilege, and says what is missing', () => {
    const env = { ...process.env, GIGATUN_RUN_DIR: lab.directory, GIGATUN_AEAD: 'openssl' };
    const command = ['--bounding-set=-all', '--inh-caps=-all', process.execPath, CLI, 'doctor', '--json'];
    const { status, stdout } = spawnSync('setpriv', command, { env, encoding: 'utf8' });
    const report = parse(stdout);
    expect(status).toBe(1);
    expect(find(report, 'tun-device')).toMatchObject({ status: 'fail', value: 'no permission' });
    expect(find(report, 'tun-offloads')).toBeUndefined();
    expect(find(report, 'udp-gso')?.value).toMatch(/datagrams a send$/);
    expect(find(report, 'aead')?.value).toMatch(/^openssl/);
    expect(find(report, 'addon')?.status).toBe('ok');
  });
}

function testTunnel(): void {
  it('looks at it from another network namespace: process, sockets, queue, way and handshake', async () => {
    const { device } = pair.a;
    const { code, stdout } = await doctor(directoryOf('a'), device, '--json', '--watch', '0.2');
    const report = parse(stdout);
    expect(code).toBe(0);
    expect(find(report, 'interface', device)?.value).toBe('up, MTU 1420');
    expect(find(report, 'path-mtu', device)).toMatchObject({ status: 'ok', value: '1420 inside, 1500 outside' });
    expect(find(report, 'handshakes', device)?.value).toMatch(/^1 of 1 peers, newest \d+ s ago$/);
    expect(find(report, 'socket-drops', device)?.value).toBe('none dropped');
    expect(find(report, 'tun-queue', device)?.value).not.toBe('unknown');
    expect(find(report, 'port', device)).toMatchObject({ status: 'ok', value: '51820' });
    expect(find(report, 'gateway', device)?.value).toMatch(/^IPv4 (on|off)/);
    expect(find(report, 'offloads-used', device)?.status).toBe('ok');
    expect(find(report, 'process-memory', device)?.value).toMatch(/MB resident/);
  });

  it('concludes from its books what limits it while it carries TCP', async () => {
    const { device } = pair.a;
    const [, { stdout }] = await Promise.all([
      runTcp(innerRoute(pair, 4), { seconds: 4 }),
      new Promise<void>((resolve) => setTimeout(resolve, 1_500)).then(() =>
        doctor(directoryOf('a'), '--json', '--watch', '1'),
      ),
    ]);
    const report = parse(stdout);
    expect(report.limit.interface).toBe(device);
    expect(report.limit.how).toMatch(/\d+(\.\d+)? % of .*while watched/);
    expect(find(report, 'batching', device)?.value).toMatch(/^TUN_RX \d+\.\d, UDP_TX \d+\.\d/);
    expect(find(report, 'core-wait', device)?.value).toMatch(/% of busy time while watched$/);
  });

  it('finds an MTU that does not fit outside, and an interface that is down', async () => {
    const { device, namespace } = pair.b;
    namespace.ip(`link set mtu 1460 dev ${device}`);
    const { stdout } = await doctor(directoryOf('b'), device, '--json', '--watch', '0.1');
    expect(find(parse(stdout), 'path-mtu', device)).toMatchObject({ status: 'warn', advice: 'MTU = 1440' });
    namespace.ip(`link set mtu 1420 dev ${device}`, `link set down dev ${device}`);
    const down = await doctor(directoryOf('b'), device, '--json', '--watch', '0.1');
    expect(find(parse(down.stdout), 'interface', device)).toMatchObject({ status: 'warn', value: 'down' });
    expect(down.code).toBe(0);
    namespace.ip(`link set up dev ${device}`);
  });
}
