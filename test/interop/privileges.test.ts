/**
 * What a running tunnel may still do, by `/proc/PID/task/*`, and that it can do all it needs with that: carry traffic, take
 * down routes, rules and nftables.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN, default route into it-- b: 10.77.0.2
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type PrivilegeReport, readPrivileges } from '../../src/control/privilege-report.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { innerRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { type End, type EndOptions, expectGigatun, openTunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const SAY_MS = 10_000;
const EVERYTHING: EndOptions = {
  edit: (config) => config.replace(/^AllowedIPs = .*$/m, 'AllowedIPs = 0.0.0.0/0, ::/0'),
};
const NET_ADMIN_ONLY: PrivilegeReport = { capabilities: ['cap_net_admin'], noNewPrivileges: true, userId: 0 };

function threadsOf({ program }: Pick<End, 'program'>): PrivilegeReport[] {
  const tasks = `/proc/${program.pid}/task`;
  return readdirSync(tasks).map((id) => readPrivileges(readFileSync(join(tasks, id, 'status'), 'utf8')));
}

async function logged(end: End, text: string): Promise<void> {
  await end.program.waitUntil(() => end.program.output.includes(text), SAY_MS, `log ${text}`);
}

tunnelSuite('a tunnel that is up', ['nft', 'ping', 'wg'], () => {
  it('has CAP_NET_ADMIN and no new privileges in every thread, and needs no more to the end', async () => {
    await using tunnel = await openTunnel({}, {}, { ...EVERYTHING, lanes: 2 });
    const { a, b, pair } = tunnel;
    await logged(b, 'privileges dropped');
    const threads = threadsOf(b);
    expect(threads.length).toBeGreaterThan(8);
    for (const thread of threads) expect(thread).toEqual(NET_ADMIN_ONLY);
    await waitForEcho(innerRoute(pair, 4), SAY_MS);
    expect(await transfer(innerRoute(pair, 4), 1_000_000, 'with few rights')).toMatchObject({ intact: true });

    expect(await b.end('SIGTERM')).toMatchObject({ code: 0 });
    const { namespace } = pair.b;
    expect(namespace.runSync(['ip', '-4', 'rule'])).not.toMatch(/fwmark/);
    expect(namespace.runSync(['nft', 'list', 'ruleset'])).toBe('');
    expect(readdirSync(expectGigatun(b).directory)).toEqual([]);
    expect(await a.end('SIGTERM')).toMatchObject({ code: 0 });
  });

  it('dumps no core, and makes files for its user alone', async () => {
    await using tunnel = await openTunnel();
    await logged(tunnel.a, 'privileges dropped');
    const proc = `/proc/${tunnel.a.program.pid}`;
    expect(readFileSync(`${proc}/limits`, 'utf8')).toMatch(/^Max core file size\s+0\s+0\s/m);
    expect(readFileSync(`${proc}/status`, 'utf8')).toMatch(/^Umask:\s+0077$/m);
    const files = readdirSync(expectGigatun(tunnel.a).directory);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect(statSync(join(expectGigatun(tunnel.a).directory, file)).mode & 0o077).toBe(0);
  });

  it('keeps CAP_NET_BIND_SERVICE for a port below 1024', async () => {
    const edit = (config: string) => config.replace(/^ListenPort = .*$/m, 'ListenPort = 443');
    await using tunnel = await openTunnel({}, { edit });
    await logged(tunnel.a, 'privileges dropped');
    for (const { capabilities } of threadsOf(tunnel.a)) {
      expect(capabilities).toEqual(['cap_net_bind_service', 'cap_net_admin']);
    }
  });

  it('has the same, and low ports, where wg configures it', async () => {
    const lab = new Lab();
    const device = `gtp${process.pid.toString(36)}`;
    const namespace = lab.addNamespace('d');
    const env = { GIGATUN_RUN_DIR: join(lab.directory, 'run'), LOG_LEVEL: 'info' };
    const program = namespace.start([process.execPath, CLI, '-f', device], { env, timeoutMs: 30_000 });
    try {
      await program.waitForOutput(/ info up /, SAY_MS);
      const capabilities = ['cap_net_bind_service', 'cap_net_admin'];
      for (const thread of threadsOf({ program })) expect(thread).toEqual({ ...NET_ADMIN_ONLY, capabilities });
      namespace.ip(`link set ${device} up`);
      namespace.runSync(['wg', 'set', device, 'listen-port', '53', 'fwmark', '7']);
      expect(namespace.runSync(['wg', 'show', device, 'listen-port'])).toBe('53\n');
      expect(namespace.runSync(['wg', 'show', device, 'fwmark'])).toBe('0x7\n');
    } finally {
      expect(await program.stop()).toMatchObject({ code: 0 });
      lab.close();
    }
  });

  it('can be started with no more than CAP_NET_ADMIN', async () => {
    await using tunnel = await openTunnel();
    await logged(tunnel.b, 'privileges dropped');
    const { plan } = tunnel.b;
    await tunnel.b.end('SIGTERM');
    const file = join(tunnel.lab.directory, `${plan.device}.conf`);
    const few = ['setpriv', '--bounding-set=-all,+net_admin', '--inh-caps=-all', '--no-new-privs'];
    const env = { GIGATUN_RUN_DIR: expectGigatun(tunnel.b).directory };
    const again = plan.namespace.start([...few, process.execPath, CLI, 'up', file, '--foreground'], {
      env,
      timeoutMs: 30_000,
    });
    await again.waitForOutput(/privileges dropped left=cap_net_admin/, SAY_MS);
    await waitForEcho(innerRoute(tunnel.pair, 4), SAY_MS);
    expect(await again.stop()).toMatchObject({ code: 0 });
  });
});

tunnelSuite('privileges stay in full', [], () => {
  it('where commands of the configuration are still to run, and they run as before', async () => {
    const directory = mkdtempSync(join(tmpdir(), `gigatun-lab-${process.pid}-`));
    const witness = join(directory, 'status');
    const hook = `PostDown = cat /proc/self/status > ${witness}`;
    const edit = (config: string) => config.replace('[Peer]', `${hook}\n[Peer]`);
    await using tunnel = await openTunnel({}, { edit });
    await logged(tunnel.a, 'privileges are kept because="PreDown and PostDown commands run as root later"');
    const own = readPrivileges(readFileSync('/proc/self/status', 'utf8'));
    for (const thread of threadsOf(tunnel.a)) expect(thread).toEqual(own);
    expect(await tunnel.a.end('SIGTERM')).toMatchObject({ code: 0 });
    expect(readPrivileges(readFileSync(witness, 'utf8'))).toEqual(own);
    rmSync(directory, { recursive: true });
  });

  it('where WG_SUDO=1 asks for it', async () => {
    await using tunnel = await openTunnel({}, { env: { WG_SUDO: '1' } });
    await logged(tunnel.a, 'privileges are kept because="asked by WG_SUDO=1"');
    for (const { noNewPrivileges } of threadsOf(tunnel.a)) expect(noNewPrivileges).toBe(false);
  });
});
