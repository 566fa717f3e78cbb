/**
 * The units in systemd/ under a real systemd, which runs end a's tunnel; b is a gigatun that only answers.
 *
 *     a: systemd, 10.77.0.1 --TUN, default route into it--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../../src/lab/namespaces.ts';
import { innerRoute, type Pair, planPair, quickConfig, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { SystemdHost, systemdMissing } from '../support/systemd-host.ts';
import { type End, openEnd } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { namespaceState, settleDevice } from '../support/tunnel-state.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const ECHO_MS = 15_000;
/** Bit 12 of the capability sets: CAP_NET_ADMIN. */
const NET_ADMIN = '0000000000001000';
const LOAD = { packets: 1_000, packetsPerSecond: 1_000, lengths: [8, 1_372] } as const;

let lab: Lab;
let pair: Pair;
let b: End;
let host: SystemdHost;
/** Of a's namespace, without any tunnel. */
let before: string;

function writeConfig(edit: (text: string) => string = (text) => text): void {
  const everything = quickConfig(pair.a).replace(/^AllowedIPs = .*$/m, 'AllowedIPs = 0.0.0.0/0, ::/0');
  host.write(`/etc/wireguard/${pair.a.device}.conf`, edit(everything));
}

/** The main process of a unit: its number beside the services, and its status. */
async function mainProcess(unit: string): Promise<{ pid: string; status: string }> {
  const pid = await host.property(unit, 'MainPID');
  return { pid, status: (await host.run(['cat', `/proc/${pid}/status`])).stdout };
}

/** Packets in both directions, none of them lost. */
async function expectTraffic(): Promise<void> {
  await waitForEcho(innerRoute(pair, 4), ECHO_MS);
  await waitForEcho(innerRoute(pair, 6), ECHO_MS);
  const streams = [await Stream.start(innerRoute(pair, 4), LOAD), await Stream.start(reverseRoute(pair, 6), LOAD)];
  for (const stream of streams) expect(await stream.finish()).toMatchObject({ lost: 0, repeated: 0, corrupted: 0 });
}

function mtu(): string {
  return pair.a.namespace.runSync(['ip', '-o', 'link', 'show', 'dev', pair.a.device]);
}

function expectNothingLeft(): void {
  expect(namespaceState(pair.a.namespace)).toBe(before);
  const files = ['/run/gigatun', '/run/wireguard'].flatMap((path) => readdirSync(host.path(path)));
  expect(files.filter((name) => !name.endsWith('.log'))).toEqual([]);
}

const missing = systemdMissing();
const skipped = missing === null ? '' : `, skipped because ${missing}`;

describe.skipIf(missing !== null)(`under systemd${skipped}`, () => {
  tunnelSuite('a service', ['nft', 'nsenter', 'ping', 'sysctl', 'systemctl', 'systemd-notify', 'unshare', 'wg'], () => {
    beforeAll(async () => {
      lab = new Lab();
      pair = planPair(lab);
      settleDevice(pair.a.namespace, pair.link[0].device);
      pair.a.namespace.runSync(['sysctl', '-q', 'net.ipv4.conf.all.src_valid_mark=1']);
      before = namespaceState(pair.a.namespace);
      b = await openEnd(lab, pair.b, { knowsEndpoint: false });
      host = await SystemdHost.open(pair.a.namespace);
    });
    afterAll(async () => {
      await host.close();
      await b.end('SIGTERM');
      lab.close();
    });

    describe('gigatun@', testGigatunUnit);
    describe('wg-quick@', testWgQuickUnit);
  });
});

function testGigatunUnit(): void {
  const unit = (): string => `gigatun@${pair.a.device}.service`;

  it('is started when its tunnel is up, and carries traffic with no more rights than it needs', async () => {
    writeConfig();
    await host.systemctl('start', unit());
    expect(await host.property(unit(), 'StatusText')).toBe(`${pair.a.device} is up`);
    await expectTraffic();
    const { pid, status } = await mainProcess(unit());
    for (const line of [`CapBnd:\t${NET_ADMIN}`, `CapEff:\t${NET_ADMIN}`, 'NoNewPrivs:\t1', 'Seccomp:\t2'])
      expect(status).toContain(line);
    const inside = (command: string) => host.run(['nsenter', '--target', pid, '--mount', 'sh', '-c', command]);
    expect((await inside('touch /etc/new')).stderr).toContain('Read-only file system');
    expect((await inside('stat -c %a /root')).stdout).toBe('0\n');
    expect((await inside(': >> /proc/sys/net/ipv4/conf/all/src_valid_mark')).code).toBe(0);
  });

  it('applies a changed file on reload, and loses no packet', async () => {
    const stream = await Stream.start(innerRoute(pair, 4), { ...LOAD, lengths: [8, 1_200] });
    writeConfig((text) => text.replace(/^MTU = .*$/m, 'MTU = 1300'));
    await host.systemctl('reload', unit());
    expect(mtu()).toContain(' mtu 1300 ');
    expect(await stream.finish()).toMatchObject({ lost: 0 });
  });

  it('says that a reload has failed, and runs on', async () => {
    host.write(`/etc/wireguard/${pair.a.device}.conf`, 'nonsense\n');
    expect((await host.run(['systemctl', 'reload', unit()])).code).not.toBe(0);
    expect(host.log).toContain(`${pair.a.device}.conf:1:1: expected`);
    expect(await host.property(unit(), 'ActiveState')).toBe('active');
    await expectTraffic();
  });

  it('tells of a reload that systemd did not ask for', async () => {
    const since = await host.property(unit(), 'StateChangeTimestampMonotonic');
    writeConfig((text) => text.replace(/^MTU = .*$/m, 'MTU = 1310'));
    await host.systemctl('kill', '--kill-who=main', '--signal=HUP', unit());
    for (let now = since; now === since; await delay(20))
      now = await host.property(unit(), 'StateChangeTimestampMonotonic');
    await host.until(unit(), 'ActiveState', 'active');
    expect(mtu()).toContain(' mtu 1310 ');
  });

  it('is started again after a SIGKILL, and is whole', async () => {
    const { pid } = await mainProcess(unit());
    await host.systemctl('kill', '--kill-who=main', '--signal=KILL', unit());
    await host.until(unit(), 'NRestarts', '1');
    await host.until(unit(), 'ActiveState', 'active');
    expect(await host.property(unit(), 'MainPID')).not.toBe(pid);
    expect(pair.a.namespace.runSync(['ip', '-4', 'rule']).match(/not .*fwmark/g)).toHaveLength(1);
    await expectTraffic();
  });

  it('leaves nothing when it is stopped, also while it waits to be started again', async () => {
    await host.systemctl('stop', unit());
    expectNothingLeft();
    await host.systemctl('start', unit());
    await host.systemctl('kill', '--kill-who=main', '--signal=KILL', unit());
    await host.until(unit(), 'SubState', 'auto-restart');
    await host.systemctl('stop', unit());
    // wg removes the UAPI socket of a killed process, as it does wireguard-go's.
    expect((await host.run(['wg', 'show', 'interfaces'])).stdout.trim()).toBe('');
    expectNothingLeft();
  });

  it('fails at once and for good where its file is wrong', async () => {
    writeConfig((text) => text.replace(/^MTU = .*$/m, 'MTU = x'));
    expect((await host.run(['systemctl', 'start', unit()])).code).not.toBe(0);
    expect(await host.property(unit(), 'SubState')).toBe('failed');
    expect(await host.property(unit(), 'ExecMainStatus')).toBe('2');
    await host.systemctl('reset-failed', unit());
    expectNothingLeft();
  });
}

/** Where the kernel has WireGuard, wg-quick asks no program in user space. */
function kernelHasWireguard(): boolean {
  return existsSync('/sys/module/wireguard') || spawnSync('modinfo', ['wireguard'], { stdio: 'ignore' }).status === 0;
}

function testWgQuickUnit(): void {
  const unit = (): string => `wg-quick@${pair.a.device}.service`;
  const usesKernel = kernelHasWireguard();
  const skippedHere = usesKernel ? ', skipped because this kernel has WireGuard: wg-quick uses that' : '';

  describe.skipIf(usesKernel)(`with the drop-in${skippedHere}`, () => {
    it('has gigatun carry traffic, and applies a changed file on reload', async () => {
      writeConfig();
      await host.systemctl('start', unit());
      expect(host.log).toContain(`[#] gigatun ${pair.a.device}\n`);
      await expectTraffic();
      writeConfig((text) => `${text}PersistentKeepalive = 21\n`);
      await host.systemctl('reload', unit());
      expect((await host.run(['wg', 'show', pair.a.device, 'persistent-keepalive'])).stdout).toContain('\t21\n');
    });

    it('comes back on restart after a SIGKILL', async () => {
      await host.systemctl('kill', '--signal=KILL', unit());
      await host.systemctl('restart', unit());
      await expectTraffic();
    });

    it('gives way to gigatun@, which then has the interface', async () => {
      await host.systemctl('start', `gigatun@${pair.a.device}`);
      expect(await host.property(unit(), 'ActiveState')).toBe('inactive');
      await expectTraffic();
      await host.systemctl('stop', `gigatun@${pair.a.device}`);
      expectNothingLeft();
    });
  });
}
