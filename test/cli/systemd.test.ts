/**
 * The units for systemd, without systemd: what it checks of a unit by itself, and the program under the conditions of the
 * unit (its capabilities, no new privileges), telling a stand-in for the manager's socket how it is.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab, type Namespace } from '../../src/lab/namespaces.ts';
import { type Running, run, start } from '../../src/lab/process.ts';
import { temporaryDirectory } from '../control/support/fakes.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const UNIT = readFileSync(fileURLToPath(new URL('../../systemd/gigatun@.service', import.meta.url)), 'utf8');
const DROP_IN = fileURLToPath(new URL('../../systemd/wg-quick@.service.d/gigatun.conf', import.meta.url));
const NAME = `gs${process.pid}`;
const END_MS = 10_000;
/** Tenths of systemd's exposure level: below 3.5 a service is counted among the safe ones. */
const EXPOSURE_MAX = 35;

/** Prints what arrives at a datagram socket, and lets go of the descriptors that come along, for which senders wait. */
const RECEIVER = `
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('listens', flush=True)
while True:
    data, ancillary, _, _ = s.recvmsg(4096, 1024)
    for level, kind, fds in ancillary:
        if kind == socket.SCM_RIGHTS:
            for fd in array.array('i', fds): os.close(fd)
    for line in data.decode().split('\\n'): print('heard', line, flush=True)
`;

/** Values of a key of the unit, in order. */
function valuesOf(key: string): string[] {
  return [...UNIT.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value ?? '');
}

/** The unit as it would be installed, where \`gigatun\` is a program of the test's. */
function installedUnit(): string {
  const directory = temporaryDirectory();
  const program = join(directory, 'gigatun');
  writeFileSync(program, '#!/bin/sh\n');
  chmodSync(program, 0o755);
  const path = join(directory, 'gigatun@wg0.service');
  writeFileSync(path, UNIT.replaceAll(/^(Exec\w+)=gigatun /gm, `$1=${program} `));
  return path;
}

tunnelSuite('the unit', ['systemd-analyze'], () => {
  it('is one that systemd understands', async () => {
    const { stdout, stderr } = await run(['systemd-analyze', 'verify', '--man=no', installedUnit()]);
    expect(stdout + stderr).toBe('');
  });

  it('exposes little', async () => {
    const command = ['systemd-analyze', 'security', '--offline=true', `--threshold=${EXPOSURE_MAX}`, installedUnit()];
    expect((await run(command, { mayFail: true })).code).toBe(0);
  });

  it('is beside a drop-in of one line for wg-quick@', () => {
    const lines = readFileSync(DROP_IN, 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines).toEqual(['[Service]', 'Environment=WG_QUICK_USERSPACE_IMPLEMENTATION=gigatun']);
  });
});

tunnelSuite('a tunnel under the conditions of the unit', ['nft', 'python3', 'setpriv', 'systemd-notify'], () => {
  let lab: Lab;
  let a: Namespace;
  beforeAll(() => {
    lab = new Lab();
    a = lab.addNamespace('a');
    a.ip('link add veth type veth peer name other', 'addr add 10.99.0.1/24 dev veth', 'link set veth up');
  });
  afterAll(() => lab.close());

  it('has the capabilities that it needs, reloads, and says when it is ready and when it stops', async () => {
    const file = join(lab.directory, `${NAME}.conf`);
    const [own, other] = [generatePrivateKey(), generatePrivateKey()];
    const peer = `[Peer]\nPublicKey = ${formatKey(publicKeyOf(other))}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 10.99.0.2:1\n`;
    const hook = 'PostUp = [ -z "$NOTIFY_SOCKET" ] && echo no socket for hooks';
    const text = `[Interface]\nPrivateKey = ${formatKey(own)}\nAddress = 10.83.0.1/24, fd83::1/64\nFwMark = 51\n${hook}\n${peer}`;
    writeFileSync(file, text, { mode: 0o600 });
    const manager = await receiver(join(lab.directory, 'notify'));
    const program = underUnit(['up', '--foreground', file], join(lab.directory, 'notify'));
    await manager.waitForOutput(new RegExp(`heard READY=1\nheard STATUS=${NAME} is up\n`), END_MS);
    expect(program.output).toContain('no socket for hooks');
    expect(a.runSync(['ip', '-4', 'rule'])).toContain('fwmark 0x33');
    expect(a.runSync(['nft', 'list', 'ruleset'])).toContain(NAME);
    const dry = await underUnit(['reload', '--dry-run', NAME], '').finished;
    expect(dry).toMatchObject({ code: 0, stdout: '' });
    expect(manager.output).not.toContain('RELOADING');
    const startedAtUs = Number(process.hrtime.bigint() / 1_000n);
    writeFileSync(file, text.replace('FwMark = 51', 'FwMark = 51\nMTU = 1300'));
    expect(
      await underUnit(valuesOf('ExecReload').join().replace('gigatun ', '').replace('%i', NAME).split(' '), '')
        .finished,
    ).toMatchObject({ code: 0 });
    expect(a.runSync(['ip', '-o', 'link', 'show', 'dev', NAME])).toContain(' mtu 1300 ');
    // Told in full before the reload's answer, as sd_notify(3) wants it of Type=notify-reload.
    expect(manager.output).toMatch(/heard RELOADING=1\nheard MONOTONIC_USEC=\d+\nheard BARRIER=1\nheard READY=1\n/);
    const reloadedAtUs = Number(/MONOTONIC_USEC=(\d+)/.exec(manager.output)?.[1]);
    expect(reloadedAtUs).toBeGreaterThan(startedAtUs);
    expect(reloadedAtUs).toBeLessThan(Number(process.hrtime.bigint() / 1_000n));
    expect(manager.output).not.toContain('STOPPING');
    program.signal('SIGTERM');
    await manager.waitForOutput(/heard STOPPING=1\n/, END_MS);
    expect((await program.finished).code).toBe(0);
    expect(a.runSync(['nft', 'list', 'ruleset'])).toBe('');
    await manager.stop();
  });

  it('says nothing when its start fails', async () => {
    const manager = await receiver(join(lab.directory, 'notify-failed'));
    const program = underUnit(['up', '--foreground', '/nowhere.conf'], join(lab.directory, 'notify-failed'));
    expect((await program.finished).code).toBe(4);
    expect((await manager.stop()).stdout).toBe('listens\n');
  });

  it('runs on, and says why, when nobody hears it', async () => {
    const program = a.start([process.execPath, CLI, '-f', NAME], {
      env: { ...environment(join(lab.directory, 'nobody')), LOG_LEVEL: 'info' },
    });
    await program.waitForOutput(/the service manager was not told --ready/, END_MS);
    expect((await program.stop()).code).toBe(0);
  });

  function environment(socket: string): Record<string, string> {
    const runDirectory = join(lab.directory, 'run');
    mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
    return { GIGATUN_RUN_DIR: runDirectory, NOTIFY_SOCKET: socket };
  }

  function underUnit(args: readonly string[], socket: string): Running {
    expect(valuesOf('NoNewPrivileges')).toEqual(['yes']);
    const names = valuesOf('CapabilityBoundingSet').join(' ').split(/\s+/);
    const capabilities = names.map((name) => `+${name.replace(/^CAP_/, '').toLowerCase()}`).join(',');
    const limits = ['--no-new-privs', '--inh-caps=-all', `--bounding-set=-all,${capabilities}`];
    return a.start(['setpriv', ...limits, process.execPath, CLI, ...args], { env: environment(socket) });
  }
});

async function receiver(path: string): Promise<Running> {
  const program = start(['python3', '-c', RECEIVER, path]);
  await program.waitForOutput(/listens/, END_MS);
  return program;
}
