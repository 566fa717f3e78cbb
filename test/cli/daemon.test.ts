/**
 * `gigatun IFACE`, the form that wg-quick and others call, on a real kernel: it returns when the interface and both sockets
 * are there, and nothing of it stays behind however it ends.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { COMMAND_NAMES } from '../../src/cli/command-names.ts';
import { readShortForm } from '../../src/cli/short-form.ts';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab, type Namespace } from '../../src/lab/namespaces.ts';
import { type Finished, isAlive, type Running, run } from '../../src/lab/process.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { programPath } from '../support/tunnel-programs.ts';

/** Unique on this machine: UAPI sockets of all namespaces lie in one directory. */
const NAME = `gd${process.pid}`;
const UAPI_SOCKET = `/var/run/wireguard/${NAME}.sock`;
const END_MS = 10_000;

let lab: Lab;
let a: Namespace;
let runDirectory = '';

type Environment = Readonly<Record<string, string>>;

async function gigatun(args: readonly string[], env: Environment = {}): Promise<Finished> {
  return await a.run([process.execPath, CLI, ...args], {
    mayFail: true,
    env: { GIGATUN_RUN_DIR: runDirectory, ...env },
  });
}

async function foreground(env: Environment = {}): Promise<Running> {
  const program = a.start([process.execPath, CLI, '-f', NAME], {
    env: { GIGATUN_RUN_DIR: runDirectory, LOG_LEVEL: 'info', ...env },
  });
  await program.waitForOutput(new RegExp(` info up name=${NAME}\\n`), END_MS);
  return program;
}

async function status(): Promise<Record<string, unknown>> {
  return JSON.parse((await gigatun(['show', NAME, '--json'])).stdout);
}

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + END_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`expected ${what} within ${END_MS} ms`);
    await delay(20);
  }
}

function expectNothingLeft(): void {
  expect(a.hasDevice(NAME)).toBe(false);
  expect(existsSync(UAPI_SOCKET)).toBe(false);
  expect(existsSync(join(runDirectory, `${NAME}.sock`))).toBe(false);
}

async function untilNothingLeft(): Promise<void> {
  await until(() => !existsSync(join(runDirectory, `${NAME}.sock`)), 'the daemon to end');
  expectNothingLeft();
}

tunnelSuite('gigatun IFACE', ['wg'], () => {
  beforeAll(() => {
    lab = new Lab();
    a = lab.addNamespace('a');
    runDirectory = join(lab.directory, 'run');
    mkdirSync(runDirectory, { mode: 0o700 });
  });
  afterAll(() => lab.close());
  afterEach(async () => {
    await gigatun(['down', NAME]);
    expectNothingLeft();
  });

  describe('in the background', testBackground);
  describe('in the foreground', testForeground);
  describe('twice', testTwice);
  describe('that fails', testFailures);
  describe('with descriptors of its caller', testDescriptors);
});

function testBackground(): void {
  it('returns when the interface and its UAPI socket are there, as wireguard-go would', async () => {
    expect(await gigatun([NAME])).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(a.runSync(['ip', '-o', 'link', 'show', 'dev', NAME])).toMatch(/<POINTOPOINT,MULTICAST,NOARP> mtu 1420 /);
    expect(a.runSync(['wg', 'show', 'interfaces']).split(/\s/)).toContain(NAME);
    expect(a.runSync(['wg', 'show', NAME, 'dump'])).toBe('(none)\t(none)\t0\toff\n');
  });

  it('is shown and taken down by the other commands, like any tunnel', async () => {
    await gigatun([NAME]);
    expect((await gigatun(['show'])).stdout).toMatch(new RegExp(`^interface: ${NAME}\n`));
    expect(await status()).toMatchObject({ interface: NAME, publicKey: null, up: false, peers: [], lanes: 1 });
    expect(JSON.parse((await gigatun(['stats', NAME, '--json'])).stdout)).toMatchObject({ interface: NAME });
    const { checks } = JSON.parse((await gigatun(['doctor', NAME, '--json', '--watch', '0.1'])).stdout);
    expect(checks.map((check: { interface: string | null }) => check.interface)).toContain(NAME);
    expect(await gigatun(['down', NAME])).toMatchObject({ code: 0, stderr: '' });
    expectNothingLeft();
  });

  it('ends when its interface is deleted, and can be opened again at once', async () => {
    for (let round = 0; round < 3; round += 1) {
      expect((await gigatun([NAME])).code).toBe(0);
      a.ip(`link delete dev ${NAME}`);
    }
    await untilNothingLeft();
  });

  it('writes no WG_TUN_NAME_FILE, as wireguard-go on Linux', async () => {
    const file = join(lab.directory, 'name-file');
    expect((await gigatun([NAME], { WG_TUN_NAME_FILE: file })).code).toBe(0);
    expect(existsSync(file)).toBe(false);
  });

  it('says so when it has opened what may have been a mistyped command', async () => {
    const { code, stderr } = await gigatun(['dwn']);
    a.ip('link delete dev dwn');
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('if you meant the command down') });
  });

  it('opens an interface that is called like a command where it is marked as one, and only there', async () => {
    expect(await gigatun(['genpsk'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^.{43}=\n$/) });
    expect(a.hasDevice('genpsk')).toBe(false);
    expect((await gigatun(['--', 'genpsk'])).code).toBe(0);
    a.ip('link delete dev genpsk');
    await until(() => !existsSync('/var/run/wireguard/genpsk.sock'), 'the first to end');
    const program = a.start([process.execPath, CLI, '-f', 'genpsk'], {
      env: { GIGATUN_RUN_DIR: runDirectory, LOG_LEVEL: 'info' },
    });
    await program.waitForOutput(/ info up name=genpsk\n/, END_MS);
    expect((await program.stop()).code).toBe(0);
  });

  it('ends when its UAPI socket is removed', async () => {
    await gigatun([NAME]);
    rmSync(UAPI_SOCKET);
    await untilNothingLeft();
  });

  it('takes settings from the environment and from options', async () => {
    await gigatun([NAME], { GIGATUN_LANES: '2', GIGATUN_TX_QUEUE_LENGTH: '77', GIGATUN_OFFLOADS: 'none' });
    expect(await status()).toMatchObject({ lanes: 2, offloads: [] });
    expect(a.runSync(['ip', '-o', 'link', 'show', 'dev', NAME])).toContain(' qlen 77');
    await gigatun(['down', NAME]);
    await gigatun(['daemon', '--lanes', '2', '--memory', '300', NAME]);
    expect(await status()).toMatchObject({ lanes: 2, memoryCapBytes: 300e6 });
  });

  it('lets variables of other implementations change nothing, and refuses their options by name', async () => {
    const theirLog = join(runDirectory, 'their.log');
    const variables = { WG_THREADS: '4', WG_LOG_LEVEL: 'trace', WG_LOG_FILE: theirLog };
    const started = await gigatun([NAME], { ...variables, WG_PREALLOCATED_BUFFERS_PER_POOL: '9' });
    expect(started).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(await status()).toMatchObject({ lanes: 1 });
    expect(existsSync(theirLog)).toBe(false);
    for (const option of ['--disable-multi-queue', '--disable-connected-udp']) {
      const { code, stderr } = await gigatun([option, 'other']);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(option) });
    }
  });

  it('logs to the stderr of its caller where somebody asks for a level, and to a file else', async () => {
    const { pid } = (await gigatun([NAME])).code === 0 ? ((await status()) as { pid: number }) : { pid: 0 };
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain(`--foreground\0--\0${NAME}`);
    expect(readFileSync(join(runDirectory, `${NAME}.log`), 'utf8')).toBe('');
    await gigatun(['down', NAME]);
    // It keeps its caller's stderr, so that reading to the end waits for its end.
    const talking = gigatun([NAME], { LOG_LEVEL: 'info' });
    await until(() => existsSync(join(runDirectory, `${NAME}.sock`)), 'the daemon to serve');
    await gigatun(['down', NAME]);
    expect((await talking).stderr).toMatch(new RegExp(` info up name=${NAME}\n.* info down name=${NAME} `));
  });

  it('is configured by wg and works on when its interface is moved to another namespace', async () => {
    const b = lab.addNamespace('b');
    const keys = [generatePrivateKey(), generatePrivateKey()] as const;
    const other = `${NAME}b`;
    await gigatun([NAME]);
    a.ip(`link set ${NAME} netns ${b.name}`);
    expect((await gigatun([other])).code).toBe(0);
    for (const [at, device] of [NAME, other].entries()) {
      const file = join(lab.directory, `${device}.wg`);
      const [own, theirs] = at === 0 ? keys : [keys[1], keys[0]];
      const peer = `[Peer]\nPublicKey = ${formatKey(publicKeyOf(theirs))}\nAllowedIPs = 10.7.0.${2 - at}/32`;
      const text = `[Interface]\nPrivateKey = ${formatKey(own)}\nListenPort = ${5_101 + at}\n${peer}\nEndpoint = 127.0.0.1:${5_102 - at}\n`;
      writeFileSync(file, text, { mode: 0o600 });
      a.runSync(['wg', 'setconf', device, file]);
    }
    b.ip(`addr add 10.7.0.1/24 dev ${NAME}`, `link set ${NAME} up`);
    a.ip(`addr add 10.7.0.2/24 dev ${other}`, `link set ${other} up`);
    // The outer sockets of both are in a: that is where 127.0.0.1 joins them.
    expect((await b.run(['ping', '-c', '2', '-W', '5', '10.7.0.2'])).stdout).toContain(' 0% packet loss');
    b.ip(`link delete dev ${NAME}`);
    await gigatun(['down', other]);
    await untilNothingLeft();
  });
}

function testForeground(): void {
  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('ends cleanly, with exit code 0, on %s', async (signal) => {
    const program = await foreground();
    program.signal(signal);
    expect(await program.finished).toMatchObject({ code: 0 });
    expectNothingLeft();
  });

  it('ends with exit code 0 when its interface is deleted', async () => {
    const program = await foreground();
    a.ip(`link delete dev ${NAME}`);
    expect(await program.finished).toMatchObject({ code: 0 });
    expectNothingLeft();
  });

  it('is what WG_PROCESS_FOREGROUND=1 asks for', async () => {
    const program = a.start([process.execPath, CLI, NAME], {
      env: { GIGATUN_RUN_DIR: runDirectory, LOG_LEVEL: 'info', WG_PROCESS_FOREGROUND: '1' },
    });
    await program.waitForOutput(/ info up name=/, END_MS);
    expect((await status()).pid).toBe(program.pid);
    expect((await program.stop()).code).toBe(0);
  });

  it('is silent with LOG_LEVEL=silent and talks with verbose', async () => {
    const program = await foreground({ LOG_LEVEL: 'verbose' });
    expect((await program.stop()).code).toBe(0);
    const silent = a.start([process.execPath, CLI, '-f', NAME], {
      env: { GIGATUN_RUN_DIR: runDirectory, LOG_LEVEL: 'silent' },
    });
    await until(() => existsSync(join(runDirectory, `${NAME}.sock`)), 'the daemon to serve');
    expect(await silent.stop()).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });
}

function testTwice(): void {
  it('is refused clearly, also by and against gigatun up, and leaves the first alone', async () => {
    const file = join(lab.directory, `${NAME}.conf`);
    writeFileSync(file, `[Interface]\nPrivateKey = ${formatKey(generatePrivateKey())}\n`, { mode: 0o600 });
    const cases = [
      [[NAME], [NAME], ['up', file]],
      [
        ['up', file],
        ['-f', NAME],
      ],
    ] as const;
    for (const [first, ...others] of cases) {
      expect((await gigatun(first)).code).toBe(0);
      const { pid } = await status();
      for (const second of others) {
        const { code, stderr } = await gigatun(second);
        expect({ second, code, stderr }).toEqual({ second, code: 5, stderr: expect.stringContaining('is up already') });
      }
      expect(await status()).toMatchObject({ pid, interface: NAME });
      await gigatun(['down', NAME]);
    }
  });

  it('is refused where another program serves the name, whose socket stays', async () => {
    const other = a.start([process.execPath, '-e', holdSocket(UAPI_SOCKET)]);
    await other.waitForOutput(/holds/, END_MS);
    const { code, stderr } = await gigatun([NAME]);
    expect({ code, stderr }).toEqual({ code: 5, stderr: expect.stringContaining('a WireGuard of this name runs') });
    expect(await canConnect(UAPI_SOCKET)).toBe(true);
    await other.stop();
    rmSync(UAPI_SOCKET, { force: true });
  });
}

/** A program that listens on a UNIX socket. */
function holdSocket(path: string): string {
  return `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('holds'))`;
}

function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(true)).on('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function testFailures(): void {
  it('because an interface of another kind has the name says so, and leaves it', async () => {
    a.ip(`link add ${NAME} type veth peer name gdz`);
    const { code, stderr } = await gigatun([NAME]);
    expect(a.hasDevice(NAME)).toBe(true);
    a.ip(`link delete dev ${NAME}`);
    expect({ code, stderr }).toEqual({ code: 5, stderr: expect.stringContaining(`ip link delete dev ${NAME}`) });
  });

  it('because it may not says so', async () => {
    const powerless = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', process.execPath, CLI, NAME];
    const { code, stderr } = await a.run(powerless, { mayFail: true, env: { GIGATUN_RUN_DIR: runDirectory } });
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('CAP_NET_ADMIN') });
  });

  it('because there is no /dev/net/tun says how to get it', async () => {
    const hidden = ['unshare', '-m', 'sh', '-c', `mount -t tmpfs none /dev/net && exec "$@"`, 'sh'];
    const { code, stderr } = await a.run([...hidden, process.execPath, CLI, NAME], {
      mayFail: true,
      env: { GIGATUN_RUN_DIR: runDirectory },
    });
    expect({ code, stderr }).toEqual({ code: 6, stderr: expect.stringMatching(/\/dev\/net\/tun.*module tun/) });
  });

  it.each<[string[], Environment, string]>([
    [['a/b'], {}, 'expected a command, or the name of an interface'],
    [['./wg0.conf'], {}, 'gigatun up ./wg0.conf'],
    [['wg%d'], {}, 'expected a command, or the name of an interface'],
    [['a-name-too-long-for-it'], {}, '1 to 15'],
    [['dwn', 'wg0'], {}, 'Did you mean down?'],
    [[NAME], { GIGATUN_LANES: '0' }, 'GIGATUN_LANES: expected "auto" or a number of lanes'],
    [[NAME], { WG_TUN_FD: 'x' }, 'expected WG_TUN_FD to be the number of an open descriptor'],
    [[NAME], { WG_TUN_FD: '999' }, 'expected WG_TUN_FD to be the number of an open descriptor'],
    [[NAME], { WG_TUN_FD: '2' }, 'expected WG_TUN_FD to be a TUN interface'],
    [[NAME], { WG_UAPI_FD: '2' }, 'expected a listening UNIX socket'],
  ])('because of %j with %j says why', async (args, env, text) => {
    const { code, stderr } = await gigatun(args, env);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(text) });
  });
}

function testDescriptors(): void {
  it('uses the TUN and the listening socket that it gets, whatever name it is given', async () => {
    const command = [
      process.execPath,
      programPath('tunnel-pass-fds'),
      NAME,
      UAPI_SOCKET,
      process.execPath,
      CLI,
      'other',
    ];
    mkdirSync('/var/run/wireguard', { recursive: true, mode: 0o755 });
    const passing = await a.run(command, { mayFail: true, env: { GIGATUN_RUN_DIR: runDirectory } });
    expect(passing).toMatchObject({ stdout: 'ended with 0\n', stderr: '' });
    expect(a.runSync(['wg', 'show', NAME, 'dump'])).toBe('(none)\t(none)\t0\toff\n');
    expect(await status()).toMatchObject({ interface: NAME, lanes: 1 });
    const { pid } = (await status()) as { pid: number };
    rmSync(UAPI_SOCKET);
    await until(() => !isAlive(pid), 'the daemon to end');
    expectNothingLeft();
  });
}

describe('the short form', () => {
  it.each<[string[], ReturnType<typeof readShortForm>]>([
    [['wg0'], { name: 'wg0', foreground: false, disableDropPrivileges: false }],
    [['-f', 'wg0'], { name: 'wg0', foreground: true, disableDropPrivileges: false }],
    [['--foreground', 'wg0'], { name: 'wg0', foreground: true, disableDropPrivileges: false }],
    [['--', 'show'], { name: 'show', foreground: false, disableDropPrivileges: false }],
    [['-f', '--', 'show'], { name: 'show', foreground: true, disableDropPrivileges: false }],
    [['--', '-x'], { name: '-x', foreground: false, disableDropPrivileges: false }],
    [['--disable-drop-privileges', 'wg0'], { name: 'wg0', foreground: false, disableDropPrivileges: true }],
    [['-f', '--disable-drop-privileges', 'wg0'], { name: 'wg0', foreground: true, disableDropPrivileges: true }],
    [['show'], null],
    [['-f', 'show'], { name: 'show', foreground: true, disableDropPrivileges: false }],
    [['--disable-drop-privileges', 'up'], { name: 'up', foreground: false, disableDropPrivileges: true }],
    [['show', '-f'], null],
    [['-f', 'up', 'wg0'], null],
    [['--version'], null],
    [['-f'], null],
    [['wg0', 'x'], null],
    [[], null],
  ])('%j', (args, form) => {
    expect(readShortForm(args)).toEqual(form);
  });

  it('knows every command, or it would take its name for an interface', async () => {
    const { stdout } = await run([process.execPath, CLI, '--help']);
    const commands = /^Commands:\n([\s\S]*?)\n\n/m.exec(stdout)?.[1] ?? '';
    const names = [...commands.matchAll(/^ {2}(\w+)/gm)].map(([, name]) => name);
    expect([...COMMAND_NAMES].sort()).toEqual(names.sort());
  });
});
